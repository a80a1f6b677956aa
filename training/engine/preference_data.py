"""From normalised preferences to tokens on disk, in the columns that TRL's trainers make themselves.

In: Parquet written by datasets_app with `line` and, by kind, preference: `prompt`, `chosen`, `rejected`; unpaired: `prompt`,
`completion`, `label` (each but the label a JSON list of messages). Out: Arrow files with `prompt_ids`, `chosen_ids`,
`rejected_ids`, or rated one by one `prompt_ids`, `completion_ids`, `label`; a pair is then two rows.

Rows longer than max_length lose the beginning of their prompt: a judgement is about a whole answer, and an answer that is
cut is another one. A row whose answer leaves no room for the prompt's last LEAST_PROMPT tokens is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .chat import TemplateError, render_reply, special_pattern
from .data import Prepared, batches, writer_of
from .failures import bad_row
from .stopping import StopRequest

LEAST_PROMPT = 8  # tokens: what opens the answer's turn, and a few of the question
ANSWERS = {"preference": ("chosen", "rejected"), "unpaired": ("completion",)}


def prepare_preferences(
    source: Path, target: Path, *, tokenizer: Any, kind: str, rated: bool, max_length: int, stop: StopRequest, keep: Any = None
) -> Prepared:
    """Tokenise the rows of `source` whose index `keep` accepts (all when None) into the Arrow file `target`.

    `rated`: answers one by one with a label, else in pairs. bad_data names the line of a row that can't be used.
    """
    prepared = Prepared(target)
    schema = _schema(rated)
    with writer_of(target, schema) as writer:
        for rows in batches(source, keep, lambda row: _parsed(row, kind)):
            stop.check()
            examples = [
                example
                for row, tokens in zip(rows, _tokenise(tokenizer, rows, kind), strict=True)
                for example in _examples(prepared, row, *tokens, rated=rated, longest=max_length, bos=tokenizer.bos_token_id)
            ]
            _look(prepared, tokenizer, examples)
            writer.write(_record_batch(examples, schema))
    return prepared


def _tokenise(tokenizer: Any, rows: list[dict[str, Any]], kind: str) -> Iterator[tuple[list[int], list[list[int]]]]:
    """For each row the prompt's tokens and those of each answer, whose beginning is where prompt and whole part."""
    texts, special = [], special_pattern(tokenizer)
    for row in rows:
        texts += _render(tokenizer, row, ANSWERS[kind], special)
    each = 1 + len(ANSWERS[kind])
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    for first in range(0, len(ids), each):
        prompt, *wholes = ids[first : first + each]
        split = min(_common(prompt, whole) for whole in wholes)
        yield prompt[:split], [whole[split:] for whole in wholes]


def _render(tokenizer: Any, row: dict[str, Any], answers: tuple[str, ...], special: re.Pattern[str]) -> list[str]:
    prompt, tools = row["prompt"], row.get("tools")
    try:
        replies = [render_reply(tokenizer, prompt, row[name], tools, special=special) for name in answers]
    except TemplateError as error:
        raise bad_row(row["line"], f"the model's chat template refuses this conversation: {error}") from error
    return [replies[0][0], *(whole for _, whole in replies)]


def _common(one: list[int], other: list[int]) -> int:
    return next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _examples(
    prepared: Prepared,
    row: dict[str, Any],
    prompt: list[int],
    answers: list[list[int]],
    *,
    rated: bool,
    longest: int,
    bos: int | None,
) -> Iterator[dict[str, Any]]:
    """The examples of one row, cut to length; none when nothing of it can be learned."""
    equal = len(answers) == 2 and answers[0] == answers[1]
    room = longest - max(len(answer) for answer in answers)
    if equal or not all(answers) or room < min(len(prompt), LEAST_PROMPT) or not prompt:
        prepared.dropped.append(row["line"])
        return
    if len(prompt) > room:
        prepared.cut += 1
        prompt = [bos, *prompt[len(prompt) - room + 1 :]] if prompt[0] == bos else prompt[len(prompt) - room :]
    prepared.rows += 1
    prepared.tokens += sum(len(prompt) + len(answer) for answer in answers)
    prepared.trained_tokens += sum(map(len, answers))
    if not rated:
        yield {"prompt_ids": prompt, "chosen_ids": answers[0], "rejected_ids": answers[1]}
        return
    labels = (True, False) if len(answers) == 2 else (row["label"],)
    for answer, label in zip(answers, labels, strict=True):
        yield {"prompt_ids": prompt, "completion_ids": answer, "label": label}


def _look(prepared: Prepared, tokenizer: Any, examples: list[dict[str, Any]]) -> None:
    """Keep the first example, decoded, for the log."""
    if prepared.example or not examples:
        return
    first = examples[0]
    words = {name: tokenizer.decode(ids)[:200] for name, ids in first.items() if name.endswith("_ids")}
    if "label" in first:
        prepared.example = (
            f"to {words['prompt_ids']!r} the {'good' if first['label'] else 'bad'} answer {words['completion_ids']!r}"
        )
    else:
        prepared.example = f"to {words['prompt_ids']!r} rather {words['chosen_ids']!r} than {words['rejected_ids']!r}"


def _parsed(row: dict[str, Any], kind: str) -> dict[str, Any]:
    line = row.get("line") or 0
    parsed: dict[str, Any] = {"line": line, "label": row.get("label")}
    for name in ("prompt", *ANSWERS[kind]):
        parsed[name] = _messages(row.get(name), name, line)
    parsed["tools"] = json.loads(row["tools"]) if row.get("tools") else None
    if kind == "unpaired" and not isinstance(row.get("label"), bool):
        raise bad_row(line, "label must be true or false.")
    return parsed


def _messages(text: Any, name: str, line: int) -> list[dict[str, Any]]:
    try:
        messages = json.loads(text)
    except (TypeError, ValueError) as error:
        raise bad_row(line, f"{name} is not a JSON list ({error}).") from error
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) and "role" in item for item in messages):
        raise bad_row(line, f"{name} must be a list of {{role, content}}.")
    return messages


def _schema(rated: bool) -> Any:
    import pyarrow as pa

    names = ("prompt_ids", "completion_ids") if rated else ("prompt_ids", "chosen_ids", "rejected_ids")
    columns = {name: pa.list_(pa.int32()) for name in names}
    return pa.schema(columns | ({"label": pa.bool_()} if rated else {}))


def _record_batch(examples: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(examples, schema=schema)
