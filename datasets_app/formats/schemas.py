"""The shapes of rows: how each is recognised, and how one raw row becomes the canonical row that training reads.

Canonical rows by kind, each value a JSON list of messages {role, content, …} unless said otherwise:
    sft          messages, tools (JSON list or None)
    text         text (plain text)
    preference   prompt, chosen, rejected, tools
    unpaired     prompt, completion, label (bool), tools
To add a shape, add a row to SHAPES.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.formats import pairs
from datasets_app.formats.conversation import (
    MEDIA,
    THOUGHTS,
    Message,
    Warn,
    check_conversation,
    decoded,
    messages_of,
    renamed,
    thought_of,
    tools_of,
    warn_of_media,
)
from datasets_app.formats.jsonrows import kind_of
from datasets_app.formats.picking import MISSING, columns_of, fields_of, options_of, pick_from
from datasets_app.formats.problems import RowError

EXTRA_COLUMNS, EXTRA_LENGTH = 40, 500  # beside what is learned, so many columns of so many characters are kept


@dataclass(frozen=True)
class Shape:
    """A format: a row has it when every group of `needs` is present (one name of each group is enough)."""

    format: str
    kind: str
    needs: tuple[tuple[str, ...], ...]
    may: tuple[str, ...]
    build: Callable[[dict[str, Any], Warn], dict[str, Any]]
    accepts: Callable[[dict[str, Any]], bool] = lambda row: True  # more than names can tell

    @property
    def fields(self) -> tuple[str, ...]:
        return (*(name for group in self.needs for name in group), *self.may)

    def fits(self, row: dict[str, Any]) -> bool:
        return all(any(name in row for name in group) for group in self.needs) and self.accepts(row)


@dataclass(frozen=True, slots=True)
class Canonical:
    """A normalised row: its columns as they are stored, their bytes in all, and what its other columns hold as JSON text."""

    values: dict[str, str | bool | None]
    size: int
    extra: str | None


def alpaca(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """instruction, input → the user's turn; output → the answer; history holds earlier [user, assistant] pairs."""
    asked = [text for text in (_text(row, "instruction"), _text(row, "input")) if text.strip()]
    if not asked:
        raise RowError("empty_field", "“instruction” is empty.", column="instruction")
    turns = [*_earlier(row), {"role": "user", "content": "\n\n".join(asked)}, _answer(row, "output")]
    return _sft(row, _system(row) + turns, "history", warn)


def prompt_completion(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """Two texts, or two lists of turns."""
    answer = _turns(row, "completion", "assistant") if isinstance(row.get("completion"), list) else [_answer(row, "completion")]
    return _sft(row, _system(row) + _earlier(row) + _turns(row, "prompt", "user") + answer, "completion", warn)


def conversation(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """A list of turns, in OpenAI's or ShareGPT's spelling."""
    field = next((name for name in pairs.CONVERSATIONS if row.get(name) is not None), None)
    if field is None:
        name = next((name for name in pairs.CONVERSATIONS if name in row), "messages")
        raise RowError("missing_field", f"“{name}” is missing.", column=name)
    messages = messages_of(row[field], field)
    system = [] if messages and messages[0]["role"] == "system" else _system(row)
    return _sft(row, system + messages, field, warn)


def text(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """Plain text, learned as it stands."""
    return {"text": _needed(row, "text")}


def segments(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """Axolotl's input_output: texts with a label each; what is to be learned becomes the assistant's, the rest the user's."""
    given = decoded(row.get("segments"))
    if not isinstance(given, list) or not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in given):
        raise RowError("wrong_type", "“segments” must be a list of {label, text}.", column="segments")
    turns: list[Message] = []
    for part in given:
        role = "assistant" if part.get("label") in (True, 1) else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += part["text"]
        elif part["text"].strip():
            turns.append({"role": role, "content": part["text"]})
    warn("segments_as_turns", "The segments were read as turns, so the model's chat template is put around them.", "segments")
    return _sft(row, turns, "segments", warn)


_ASKED = ("prompt", "instruction", "input", "question", "system", "tools", *MEDIA)
SHAPES = (  # the most particular first: a preference row also looks like a conversation
    Shape("preference", "preference", (pairs.CHOSEN, pairs.REJECTED), (*_ASKED, *pairs.CONVERSATIONS), pairs.preference),
    Shape("kto", "unpaired", (pairs.LABEL, (*pairs.ANSWER, *pairs.CONVERSATIONS)), _ASKED, pairs.unpaired, pairs.has_label),
    Shape("openai", "sft", (("messages",),), ("system", "tools", *MEDIA), conversation),
    Shape("sharegpt", "sft", (("conversations", "conversation", "dialog"),), ("system", "tools", *MEDIA), conversation),
    Shape("alpaca", "sft", (("instruction",), ("output",)), ("input", "system", "history", "tools", *THOUGHTS, *MEDIA), alpaca),
    Shape(
        "prompt_completion",
        "sft",
        (("prompt",), ("completion",)),
        ("system", "history", "tools", *THOUGHTS, *MEDIA),
        prompt_completion,
    ),
    Shape("prompt_completion", "sft", (("segments",),), (), segments),
    Shape("text", "text", (("text",),), (), text),
)
FIELDS = tuple(dict.fromkeys(name for shape in SHAPES for name in shape.fields))


def shapes_with(fields: Iterable[str]) -> list[Shape]:
    """The shapes that know all of these fields."""
    return [shape for shape in SHAPES if set(fields) <= set(shape.fields)]


def detect(rows: list[dict[str, Any]], mapping: Mapping[str, Any]) -> Shape | None:
    """The shape that most of these raw rows have (of the shapes the mapping allows); None when no row has any."""
    shapes = shapes_with(fields_of(mapping))
    votes: Counter[Shape] = Counter()
    for row in rows:
        ours = apply_mapping(row, mapping)
        shape = next((shape for shape in shapes if shape.fits(ours)), None)
        if shape is not None:
            votes[_spelled(shape, ours, mapping)] += 1
    return votes.most_common(1)[0][0] if votes else None


def _spelled(shape: Shape, row: dict[str, Any], mapping: Mapping[str, Any]) -> Shape:
    """OpenAI and ShareGPT differ by the keys of a turn, whatever the column is called."""
    format = _spelling(shape, row) if shape.build is conversation and not options_of(mapping) else shape.format
    return shape if format == shape.format else next(other for other in SHAPES if other.format == format)


def _spelling(shape: Shape, row: dict[str, Any]) -> str:
    for field in pairs.CONVERSATIONS:
        turns = decoded(row.get(field))
        if isinstance(turns, list) and turns and isinstance(turns[0], dict):
            return "sharegpt" if "from" in turns[0] else "openai"
    return shape.format


def apply_mapping(row: dict[str, Any], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The row under our names. A column that is mapped no longer counts under its own name."""
    if not mapping:
        return row
    fields, taken = fields_of(mapping), set(columns_of(mapping))
    kept = {name: value for name, value in row.items() if name not in taken and name not in fields}
    picked = {field: value for field, pick in fields.items() if (value := pick_from(row, pick)) is not MISSING}
    return renamed(kept | picked, options_of(mapping))


def normalise(shape: Shape, row: dict[str, Any], mapping: Mapping[str, Any], warn: Warn) -> Canonical:
    """One raw row → the canonical row, its lists as JSON text. Raises RowError with the reason."""
    try:
        built = shape.build(apply_mapping(row, mapping), warn)
        values = {name: value if isinstance(value, (str, bool)) or value is None else _json(value) for name, value in built.items()}
        stored = b"\x00".join(str(value).encode() for value in values.values())
    except RecursionError:
        raise RowError("too_deep", "The row is nested too deeply.") from None
    except UnicodeEncodeError:
        raise RowError("invalid_unicode", "The row holds half a character (a lone surrogate such as \\ud83d).") from None
    except ValueError:  # a number that JSON does not have
        raise RowError("invalid_json", "NaN and Infinity are not valid JSON.") from None
    except RowError as error:  # name their column, not ours
        theirs = mapping.get(error.column)
        error.column = theirs if isinstance(theirs, str) else error.column
        raise
    extra = _extra(shape, row, mapping)
    return Canonical(values, len(stored) + len(extra or ""), extra)


def _extra(shape: Shape, row: dict[str, Any], mapping: Mapping[str, Any]) -> str | None:
    """Texts and numbers of the columns that nothing is learned from; rows may be divided by them."""
    used = set(columns_of(mapping)) | (set(shape.fields) - set(mapping))
    kept = {name: value for name, value in row.items() if name not in used and _is_short(value)}
    return _json(kept).encode("utf-8", "replace").decode() if kept and len(kept) <= EXTRA_COLUMNS else None


def _is_short(value: Any) -> bool:
    return (isinstance(value, (bool, int, float)) and math.isfinite(value)) or (
        isinstance(value, str) and len(value) <= EXTRA_LENGTH
    )


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _sft(row: dict[str, Any], messages: list[Message], field: str, warn: Warn) -> dict[str, Any]:
    check_conversation(messages, field, warn)
    warn_of_media(row, warn)
    return {"messages": messages, "tools": tools_of(row.get("tools"))}


def _text(row: dict[str, Any], field: str) -> str:
    """A text that may be missing."""
    value = row.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError("wrong_type", f"“{field}” must be text; it is {kind_of(value)}.", column=field)
    return value


def _needed(row: dict[str, Any], field: str) -> str:
    if row.get(field) is None:
        raise RowError("missing_field", f"“{field}” is missing.", column=field)
    value = _text(row, field)
    if not value.strip():
        raise RowError("empty_field", f"“{field}” is empty.", column=field)
    return value


def _turns(row: dict[str, Any], field: str, role: str) -> list[Message]:
    if isinstance(row.get(field), list):
        return messages_of(row[field], field)
    return [{"role": role, "content": _needed(row, field)}]


def _answer(row: dict[str, Any], field: str) -> Message:
    """The assistant's turn, with what it thought before where the row tells."""
    return {"role": "assistant", "content": _needed(row, field)} | thought_of(row)


def _system(row: dict[str, Any]) -> list[Message]:
    content = _text(row, "system")
    return [{"role": "system", "content": content}] if content.strip() else []


def _earlier(row: dict[str, Any]) -> list[Message]:
    """The turns of `history`."""
    return [
        {"role": role, "content": text}
        for question, answer in _history(row.get("history"))
        for role, text in (("user", question), ("assistant", answer))
    ]


def _history(value: Any) -> list[tuple[str, str]]:
    pairs_given = decoded(value) or []
    if not isinstance(pairs_given, list) or not all(_is_pair(pair) for pair in pairs_given):
        raise RowError("wrong_type", "“history” must be a list of [question, answer] pairs of text.", column="history")
    return [(pair[0], pair[1]) for pair in pairs_given]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value)
