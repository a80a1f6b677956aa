"""Which format the first rows of a file have, and what to say about that and about how the file was read."""

from __future__ import annotations

from typing import Any

from datasets_app.formats.bundle import Bundle
from datasets_app.formats.encoding import UTF8, name_of
from datasets_app.formats.mapping import suggest
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.picking import columns_of, fields_of, said
from datasets_app.formats.problems import Problem, excerpt_of
from datasets_app.formats.schemas import Shape, detect
from datasets_app.formats.source import Source

TOKENS = (
    "The rows hold “input_ids”, the numbers of one tokenizer's tokens, and no text that we know. Upload the text or the conversations "
    "they were made from: each model's own tokenizer and chat template make them into tokens."
)


def shape_of(outcome: Outcome, raw: list[dict[str, Any]], mapping: dict[str, Any]) -> Shape | None:
    """The format, or None with a Problem that says what was seen and what to do."""
    absent = [column for column in columns_of(mapping) if raw and column not in outcome.columns]
    for column in absent:
        words = f"The mapping names the column “{column}”, which the file does not have. It has: {_listed(outcome.columns)}."
        outcome.problems.add(Problem("missing_column", words, line=1, column=column))
    if absent:
        return None
    shape = detect(raw, mapping)
    if shape is None and not fields_of(mapping):
        shape = _guessed_shape(outcome, raw, mapping)
    if shape is None and raw:
        rule, words = (
            ("tokens_not_text", TOKENS) if "input_ids" in outcome.columns else ("unknown_format", _unknown(outcome, mapping))
        )
        outcome.problems.add(Problem(rule, words, line=1, excerpt=excerpt_of(raw[0])))
    return shape


def _guessed_shape(outcome: Outcome, raw: list[dict[str, Any]], mapping: dict[str, Any]) -> Shape | None:
    """Question and answer under names that leave no doubt; said, so that a person can confirm or map."""
    guessed = suggest(outcome.columns)
    shape = detect(raw, guessed | mapping) if guessed else None
    if shape is not None:
        outcome.suggestion = guessed
        pairs = " and ".join(f"“{column}” as the {field}" for field, column in guessed.items())
        outcome.problems.add(Problem("guessed_mapping", f"Taken by their names: {pairs}. Map the columns if that is wrong."))
    return shape


def say_how_it_was_read(source: Source | Bundle, document: str, outcome: Outcome) -> None:
    if source.encoding != UTF8:
        words = f"The file is in {name_of(source.encoding)}, not UTF-8; it was read in that."
        outcome.problems.add(Problem("other_encoding", words))
    if source.kind in {"txt", "md"}:
        unit = {"line": "each line is", "paragraph": "each run of lines between blank ones is", "file": "the whole file is"}[
            document
        ]
        outcome.problems.add(Problem("text_documents", f"Plain text: {unit} one document. The mapping can change that."))


def _unknown(outcome: Outcome, mapping: dict[str, Any]) -> str:
    seen = f"The columns {_listed(outcome.columns)} are no format we know"
    if fields := fields_of(mapping):
        seen += f", even with {', '.join(f'{field} ← {said(pick)}' for field, pick in fields.items())}"
    return f"{seen}. Say which column is the prompt and which the completion (or name messages, instruction and output, or text)."


def _listed(columns: list[str]) -> str:
    shown = ", ".join(f"“{column[:40]}”" for column in columns[:8])
    return shown + (f" and {len(columns) - 8} more" if len(columns) > 8 else "")
