"""Rows that compare answers: preference (chosen and rejected) and KTO (an answer with a thumb up or down)."""

from __future__ import annotations

from typing import Any

from datasets_app.formats.conversation import Message, Warn, decoded, message_of, messages_of
from datasets_app.formats.jsonrows import kind_of
from datasets_app.formats.problems import RowError

CONVERSATIONS = ("messages", "conversations", "conversation")
LABELS = {"true": True, "1": True, "false": False, "0": False}


def preference(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """prompt (or a conversation so far, or the turns both answers begin with), chosen, rejected → message lists."""
    chosen, rejected = _side(row, "chosen"), _side(row, "rejected")
    prompt = _prompt(row)
    if not prompt:
        same = next(
            (at for at, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), min(len(chosen), len(rejected))
        )
        prompt, chosen, rejected = chosen[:same], chosen[same:], rejected[same:]
    if chosen == rejected:
        raise RowError("same_answers", "“chosen” and “rejected” are the same.", column="rejected")
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer or answer[-1]["role"] != "assistant":
            raise RowError("no_assistant", f"“{name}” does not end with an assistant turn.", column=name)
    if not prompt:
        raise RowError(
            "missing_field", "There is no “prompt”, and the two answers do not begin with the same turns.", column="prompt"
        )
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def unpaired(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """prompt and completion, or a conversation whose last turn is the answer, with a boolean label."""
    label = _label(row.get("label"))
    if "completion" in row:
        prompt, completion = _prompt(row), _side(row, "completion")
    else:
        field, messages = _conversation(row)
        if messages[-1]["role"] != "assistant":
            raise RowError("no_assistant", "The last turn must be the assistant's answer that the label judges.", column=field)
        prompt, completion = messages[:-1], messages[-1:]
    if not prompt:
        raise RowError("missing_field", "There is no “prompt”.", column="prompt")
    return {"prompt": prompt, "completion": completion, "label": label}


def has_label(row: dict[str, Any]) -> bool:
    """Whether the row's label is a thumb up or down, and not a class of some other data set."""
    try:
        _label(row.get("label"))
    except RowError:
        return False
    return True


def _label(value: Any) -> bool:
    if isinstance(value, str):
        value = LABELS.get(value.strip().lower(), value)
    if value is None:
        raise RowError("missing_field", "“label” is missing.", column="label")
    if value in (0, 1) and isinstance(value, (bool, int)):
        return bool(value)
    raise RowError("wrong_type", f"“label” must be true or false; it is {kind_of(value)}.", column="label")


def _side(row: dict[str, Any], field: str) -> list[Message]:
    value = decoded(row.get(field))
    if value is None:
        raise RowError("missing_field", f"“{field}” is missing.", column=field)
    if isinstance(value, list):
        return messages_of(value, field)
    if isinstance(value, dict) and ("role" in value or "from" in value):
        return [message_of(value, field, field)]
    if isinstance(row[field], str):
        value = row[field]
    return [message_of({"role": "assistant", "content": value}, field, field)]


def _prompt(row: dict[str, Any]) -> list[Message]:
    system = row.get("system")
    first: list[Message] = [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []
    prompt = row.get("prompt")
    if isinstance(prompt, str) and not isinstance(decoded(prompt), list):
        return [*first, message_of({"role": "user", "content": prompt}, "prompt", "prompt")]
    if prompt is not None:
        return [*first, *messages_of(prompt, "prompt")]
    return [*first, *_conversation(row)[1]] if any(field in row for field in CONVERSATIONS) else []


def _conversation(row: dict[str, Any]) -> tuple[str, list[Message]]:
    field = next((name for name in CONVERSATIONS if name in row), "messages")
    if row.get(field) is None:
        raise RowError("missing_field", f"“{field}” is missing.", column=field)
    return field, messages_of(row[field], field)
