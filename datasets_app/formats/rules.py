"""Everything we look for in a dataset: one table. Severity, words, pages and docs/data-rules.md come from here.

- error: the row can't be used and is left out; of the file, the tokens or the set: training would fail or mislead
- warning: the row is used; it probably teaches something that was not meant
- info: worth knowing

`fix` says what the automatic fix does (datasets_app/doctor/fixes.py); it is empty where none is safe.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One thing to look for. `level` is where: file, row, messages, tools, preference, tokens or set."""

    id: str
    level: str
    severity: str
    title: str
    why: str
    fix: str = ""


_TABLE = (
    # --- file: nothing about a single row -------------------------------------------------------------------------------
    Rule("no_rows", "file", "error", "No rows", "The file holds nothing to learn from. Upload one that has rows."),
    Rule("no_header", "file", "error", "No header", "The first line of a CSV file must name the columns. Add such a line."),
    Rule("bad_header", "file", "error", "Header can't be read", "Column names are short words, each once. Correct the first line."),
    Rule("duplicate_column", "file", "error", "Column named twice", "Two columns share a name, so one would be lost. Rename one."),
    Rule("not_a_list", "file", "error", "Not a list of rows", "A JSON file is a list of objects; JSON Lines has one object a line."),
    Rule("damaged_file", "file", "error", "File damaged", "The compressed file was cut off. Rows after that point are missing."),
    Rule("unfinished", "file", "error", "The list never ends", "A quote or bracket is missing, or the file was cut off."),
    Rule("trailing_data", "file", "error", "Text after the end of the list", "What follows the list was not read."),
    Rule("unknown_format", "file", "error", "Format not recognised", "Say which column is which (a mapping), then read it again."),
    Rule("tokens_not_text", "file", "error", "Token numbers instead of text", "They belong to one tokenizer. Upload the text; it is made into tokens for each model."),
    Rule("missing_column", "file", "error", "Mapped column missing", "The mapping names a column that the file does not have."),
    Rule("not_read", "file", "error", "Reading was stopped", "Something of ours or of the machine stopped the reading. Try again."),
    Rule("not_examined", "file", "warning", "Not looked at to the end", "The doctor was cut off, so problems may be missing here. Check the dataset again."),
    Rule("gate_failed", "file", "error", "Quality gate not passed", "More rows have this problem than you tolerate. Fix or raise it."),
    Rule("duplicates_unchecked", "file", "warning", "Duplicates not fully checked", "The file has more rows than are compared."),
    Rule("guessed_mapping", "file", "info", "Columns taken by their names", "Question and answer were told by the columns' names. Confirm or map."),
    Rule("other_encoding", "file", "info", "Not UTF-8", "The file is in another encoding and was read in that. Look for odd letters."),
    Rule("text_documents", "file", "info", "How the text was cut", "Each line, each paragraph or the whole file is a document: choose in the mapping."),
    Rule("similar_columns", "file", "info", "Columns that differ by case only", "“Prompt” and “prompt” are two columns. Is one meant?"),
    # --- row: it can't be read, or is not what it should be ---------------------------------------------------------------
    Rule("invalid_json", "row", "error", "Lines that are not JSON", "The line is left out. Correct it at the character named."),
    Rule("not_an_object", "row", "error", "Rows that are not objects", 'A row is an object such as {"prompt": …, "completion": …}.'),
    Rule("not_utf8", "row", "error", "Bytes that are not UTF-8", "Save the file as UTF-8; the byte that breaks is named."),
    Rule("invalid_unicode", "row", "error", "Broken characters", "Half a character (a lone surrogate) can't be stored or learned."),
    Rule("duplicate_key", "row", "error", "Keys that stand twice in a row", "One of the two values would be lost without a word."),
    Rule("bad_csv", "row", "error", "Broken CSV rows", "A quote is never closed or stands in the wrong place."),
    Rule("wrong_columns", "row", "error", "Rows with too many or too few cells", "A cell with commas or line breaks needs quotes."),
    Rule("row_too_long", "row", "error", "Rows that are too long", "No row of that size is meant. Split it."),
    Rule("too_deep", "row", "error", "Rows nested too deeply", "The row's lists and objects are nested beyond reason."),
    Rule("missing_field", "row", "error", "Missing fields", "Something the format needs is not there."),
    Rule("empty_field", "row", "error", "Empty fields", "Something the format needs is there and empty."),
    Rule("wrong_type", "row", "error", "Values of the wrong type", "A number or an object stands where text or a list must be."),
    Rule("template_gap", "row", "warning", "Template places without a value", "The mapping's template names a column that is empty or missing in this row."),
    Rule("rows_continue", "row", "info", "Rows that continue other rows", "The rows name a parent; each is learned by itself, without what came before."),
    Rule("unknown_parent", "row", "warning", "Parents that are not in the file", "The row continues another one that is not there, or itself."),
    Rule("parent_cycle", "row", "warning", "Rows that continue each other in a circle", "No row of the circle is the first."),
    Rule("two_formats", "row", "warning", "Rows that fit two formats", "The row has the fields of another format too; those are unused."),
    Rule("unused_columns", "row", "info", "Columns that are not used", "They are kept for splitting, but nothing is learned from them."),
    Rule("media_ignored", "row", "warning", "Images, videos or sounds", "Only the text of these rows is learned."),
    Rule("segments_as_turns", "row", "info", "Segments read as turns", "The model's chat template is put around each segment."),
    Rule("placeholder_text", "row", "warning", "“null”, “NaN” or “None” as a text", "A missing value became a word, and would be learned.",
         fix="leaves these rows out"),
    Rule("broken_encoding", "row", "warning", "Text that was decoded wrongly", "“Ã¼” was once “ü”: the file was saved in another encoding.",
         fix="decodes the text again where that gives back clean text"),
    Rule("control_characters", "row", "warning", "Invisible characters", "Zero-width and control characters become tokens of their own.",
         fix="removes them"),
    Rule("garbled", "row", "warning", "Text that is mostly symbols", "Few letters or digits: markup, a binary file, or noise."),
    Rule("shouting", "row", "info", "Text mostly in capitals", "More than a third of the letters are capitals. Is that the wanted style?"),
    Rule("outer_space", "row", "info", "Answers with blanks around them", "Blanks and line breaks around an answer are learned too.",
         fix="removes blanks before and after answers"),
    Rule("secret", "row", "warning", "Keys and passwords", "Something looks like a secret. A model can repeat what it has learned.",
         fix="puts [secret] in its place"),
    Rule("personal_data", "row", "warning", "E-mail addresses, card and account numbers", "A model can repeat what it has learned.",
         fix="puts [email], [card] or [iban] in their place"),
    # --- messages ---------------------------------------------------------------------------------------------------------
    Rule("unknown_role", "messages", "error", "Unknown roles", "Roles are system, user, assistant and tool (and their usual other names)."),
    Rule("empty_content", "messages", "error", "Turns without text", "A user's or assistant's turn says nothing."),
    Rule("media_part", "messages", "error", "Images or sounds inside a turn", "Only text can be learned. Take these parts out, or leave the rows out."),
    Rule("no_assistant", "messages", "error", "Conversations without an answer", "Without an assistant's turn there is nothing to learn."),
    Rule("no_user", "messages", "warning", "Conversations without a question", "The assistant answers nobody: the model learns to speak unasked."),
    Rule("system_not_first", "messages", "warning", "System turns in the middle", "Many chat templates refuse a system turn that is not the first.",
         fix="moves system turns to the beginning, as one"),
    Rule("not_alternating", "messages", "warning", "Turns that do not alternate", "Two turns of one side follow each other; some templates refuse that.",
         fix="joins turns of the same side that follow each other"),
    Rule("starts_with_answer", "messages", "warning", "Conversations that begin with the assistant", "Most templates want the user's turn first."),
    Rule("ends_without_answer", "messages", "warning", "Conversations that do not end with an answer", "Nothing is learned from what follows the last answer.",
         fix="cuts what follows the last answer"),
    Rule("unknown_keys", "messages", "info", "Keys of a turn that are not used", "Beside role, content, name, weight and tool calls, nothing of a turn is read.",
         fix="removes these keys"),
    Rule("bad_weight", "messages", "warning", "Weights that are not 0 or 1", "Only 0 (not learned) and 1 (learned) mean something."),
    Rule("nothing_weighted", "messages", "warning", "Conversations with weight 0 throughout", "Every answer has weight 0, so nothing is learned.",
         fix="leaves these rows out"),
    Rule("special_tokens", "messages", "warning", "Special tokens inside a text", "<|im_end|> and the like end a turn for the model wherever they stand.",
         fix="removes them from the text"),
    Rule("system_prompts_differ", "messages", "info", "System prompts in some rows only", "What you send later should look like what was learned."),
    # --- tools ------------------------------------------------------------------------------------------------------------
    Rule("bad_tool_call", "tools", "error", "Tool calls that can't be read", 'A call is {"name": …, "arguments": {…}}, or a list of those.'),
    Rule("arguments_not_json", "tools", "warning", "Arguments that are not an object", "A tool's arguments must be a JSON object."),
    Rule("unknown_tool", "tools", "warning", "Calls of a tool that is not offered", "The row's “tools” don't list the function that is called."),
    Rule("arguments_dont_fit", "tools", "warning", "Arguments that the tool does not take", "They break the tool's own JSON schema."),
    Rule("text_beside_calls", "tools", "info", "Answers that speak and call a tool at once", "Some chat templates write only one of the two."),
    Rule("orphan_tool_result", "tools", "warning", "Results without a call", "A tool's turn must follow the call that it answers."),
    Rule("unknown_call_id", "tools", "warning", "Results for a call that was not made", "The tool_call_id names no earlier call of the conversation."),
    Rule("tools_differ", "tools", "info", "Rows that offer different tools", "The rows don't all offer the same set. That may be meant."),
    # --- preference -------------------------------------------------------------------------------------------------------
    Rule("same_answers", "preference", "error", "Chosen and rejected are the same", "Nothing tells the two apart, so nothing can be learned."),
    Rule("prompt_ends_with_answer", "preference", "warning", "Prompts that end with an answer", "The better and worse answer should answer a user."),
    Rule("earlier_turns", "preference", "info", "Comparisons that begin with a conversation", "The prompt has several user turns. We learn from that; some services take one."),
    Rule("several_turns", "preference", "info", "Comparisons over several turns", "Chosen or rejected has more than one turn; some methods want one."),
    Rule("nearly_same_answers", "preference", "warning", "Chosen and rejected differ by blanks or case only", "The model would learn the spelling, not the answer."),
    Rule("very_different_lengths", "preference", "warning", "One answer is far longer", "With one side ten times longer, the model learns the length."),
    Rule("length_bias", "preference", "warning", "The longer answer nearly always wins", "In more than 90 % of the rows: the model would learn “longer is better”."),
    # --- tokens: with the model's tokenizer and template, or estimated ----------------------------------------------------
    Rule("long_rows", "tokens", "info", "Rows that are probably too long", "Estimated without a tokenizer. Check with the model you will train."),
    Rule("tokens_unchecked", "tokens", "warning", "Tokens not counted", "The tokenizer that was to be used is not there any more."),
    Rule("no_template", "tokens", "info", "The model has no chat template", "Counted with ChatML; a training asks you to choose a chat_template."),
    Rule("no_end_token", "tokens", "warning", "The tokenizer has no end-of-text token", "A model learns to stop only if its chat template closes each answer."),
    Rule("template_refuses", "tokens", "error", "Conversations the chat template refuses", "Training would stop at this row. The template's words are shown.",
         fix="leaves these rows out"),
    Rule("cut_rows", "tokens", "warning", "Rows longer than max_length", "Training cuts them at the end."),
    Rule("answer_cut_away", "tokens", "warning", "Rows whose last answer is cut away", "max_length ends before the last answer begins. Raise it."),
    Rule("nothing_trained", "tokens", "warning", "Rows with no token to learn", "After template and max_length nothing is left; training drops them.",
         fix="leaves these rows out"),
    Rule("beyond_context", "tokens", "warning", "Rows longer than the model's context", "The model can't see that far, whatever max_length says."),
    # --- set: the rows together -------------------------------------------------------------------------------------------
    Rule("duplicate", "set", "warning", "Duplicate rows", "The same row counts several times.", fix="keeps the first of each"),
    Rule("near_duplicate", "set", "info", "Nearly the same rows", "Four of five five-word runs are shared with an earlier row (estimated by MinHash)."),
    Rule("conflicting", "set", "warning", "Same question, different answer", "The model can't learn both. Decide which one is right."),
    Rule("split_leakage", "set", "error", "Rows in two splits", "Evaluating on what was learned says nothing."),
    Rule("few_rows", "set", "warning", "Very few rows", "Ten are the least that teach a form, some hundred teach a task."),
    Rule("small_set", "set", "info", "A small set", "Enough to try things out; results vary much from run to run."),
    Rule("same_prompts", "set", "warning", "All questions are the same", "The model would learn one answer to one question."),
    Rule("same_completions", "set", "warning", "All answers are the same", "The model would learn to say one thing whatever it is asked."),
    Rule("common_start", "set", "info", "All questions begin alike", "A long common beginning is better said once, as the system prompt."),
    Rule("common_end", "set", "info", "All answers end alike", "Is the common ending meant to be learned?"),
    Rule("few_labels", "set", "info", "This looks like classification", "There are few different answers; the balance of the classes matters."),
    Rule("label_imbalance", "set", "warning", "Classes of very different sizes", "The largest class has more than fifty times the rows of the smallest."),
    Rule("long_outliers", "set", "info", "Rows far longer than the others", "Longer than ten times the median: documents among questions?"),
    Rule("mixed_languages", "set", "info", "Several languages", "Rows of another language than most (a guess from common words and scripts)."),
)  # fmt: skip

_NOT_LOOKED_FOR = """
Toxicity. A list of words calls quotations, medicine and names toxic and misses every insult without such a word; a classifier is a
model of its own that has to be chosen, downloaded and judged. We don't pretend to either. Rows that you have scored yourself can be
divided or left out by that column before the upload.
"""

RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}
LEVELS = ("file", "row", "messages", "tools", "preference", "tokens", "set")
SEVERITIES = ("error", "warning", "info")
# Rules about the file as a whole: they do not stand for a row.
ABOUT_THE_FILE = frozenset(rule.id for rule in _TABLE if rule.level == "file") - {"not_read"} | {"few_rows"}


def severity_of(rule: str) -> str:
    """An unknown rule is an error: nothing may slip through because its line in the table was forgotten."""
    return RULES[rule].severity if rule in RULES else "error"


def title_of(rule: str) -> str:
    return RULES[rule].title if rule in RULES else rule.replace("_", " ").capitalize()


def fixable() -> list[str]:
    """The rules that have an automatic fix."""
    return [rule.id for rule in _TABLE if rule.fix]


def as_markdown() -> str:
    """docs/data-rules.md: python -m datasets_app.formats.rules > docs/data-rules.md."""
    words = {
        "file": "The file", "row": "A row", "messages": "Messages", "tools": "Tools",
        "preference": "Preference pairs", "tokens": "Tokens", "set": "The rows together",
    }  # fmt: skip
    lines = ["# What the doctor looks for", "", *(line.strip() for line in __doc__.splitlines()[2:]), ""]
    for level in LEVELS:
        lines += [f"## {words[level]}", "", "| rule | severity | | why it matters | fix |", "|---|---|---|---|---|"]
        for rule in _TABLE:
            if rule.level == level:
                lines.append(
                    f"| `{rule.id}` | {rule.severity} | {rule.title} | {rule.why} | {rule.fix.replace('|', chr(92) + '|')} |"
                )
        lines.append("")
    lines += ["## What is not looked for", "", *_NOT_LOOKED_FOR.strip().splitlines(), ""]
    return "\n".join(lines).replace("<|im_end|>", "`<\\|im_end\\|>`")


if __name__ == "__main__":
    print(as_markdown(), end="")
