"""The automatic fixes, one a rule, on canonical rows. A fix gives the row back changed, as it was, or None to leave it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from datasets_app.doctor import texts
from datasets_app.doctor.turns import KNOWN_KEYS
from datasets_app.formats.splits import digest

Row = dict[str, Any]
Fix = Callable[[Row], Row | None]
TURNS = ("messages", "prompt", "chosen", "rejected", "completion")


def fixer(rules: Iterable[str], doomed: Iterable[int] = ()) -> Fix:
    """All these fixes one after the other, in the table's order. `doomed` are lines that a token rule leaves out.

    It remembers the rows it has seen (for duplicates), so that each pass over a dataset needs one of its own.
    """
    steps = [FIXES[rule] for rule in FIXES if rule in set(rules)]
    lines = set(doomed)
    last = _first_only() if "duplicate" in set(rules) else None  # at the end: rows may have become equal

    def fix(row: Row) -> Row | None:
        if row.get("line") in lines:
            return None
        fixed: Row | None = row
        for step in [*steps, *([last] if last else [])]:
            if fixed is not None:
                fixed = step(fixed)
        return fixed

    return fix


def _first_only() -> Fix:
    seen: set[bytes] = set()

    def first(row: Row) -> Row | None:
        key = digest(json.dumps({name: value for name, value in row.items() if name != "line"}, sort_keys=True))
        if key in seen:
            return None
        seen.add(key)
        return row

    return first


def _on_texts(change: Callable[[str], str], only: str = "") -> Fix:
    """Change every text of a row, or those of one role."""

    def turn(message: Row) -> Row:
        content = message.get("content")
        if not isinstance(content, str) or (only and message["role"] != only):
            return message
        changed = change(content)
        return message if changed == content else message | {"content": changed}

    def fix(row: Row) -> Row | None:
        changed = dict(row)
        if isinstance(row.get("text"), str):
            changed["text"] = change(row["text"])
        for name in TURNS:
            if row.get(name):
                changed[name] = [turn(message) for message in row[name]]
        return changed if _says_something(changed) else None

    return fix


def _says_something(row: Row) -> bool:
    """Whether the row can still be learned from: no text became empty."""
    if "text" in row:
        return bool(row["text"].strip())
    turns = [message for name in TURNS for message in row.get(name) or []]
    return all(
        message.get("content", "").strip() or message.get("tool_calls") or message["role"] not in ("user", "assistant")
        for message in turns
    )


def _on_messages(change: Callable[[list[Row]], list[Row]]) -> Fix:
    def fix(row: Row) -> Row | None:
        if not row.get("messages"):
            return row
        changed = change(row["messages"])
        return row | {"messages": changed} if changed else None

    return fix


def system_first(messages: list[Row]) -> list[Row]:
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    return [{"role": "system", "content": "\n\n".join(system)}, *rest] if system else rest


def joined(messages: list[Row]) -> list[Row]:
    """Turns of one side that follow each other become one; turns with calls, and tools' results, stay."""
    found: list[Row] = []
    for message in messages:
        before = found[-1] if found else None
        same = before is not None and before["role"] == message["role"] in ("user", "assistant", "system")
        if before is not None and same and not before.get("tool_calls") and not message.get("tool_calls"):
            found[-1] = before | {"content": f"{before['content']}\n\n{message['content']}"}
        else:
            found.append(message)
    return found


def up_to_last_answer(messages: list[Row]) -> list[Row]:
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return messages[: last + 1]


def known_keys(messages: list[Row]) -> list[Row]:
    return [{key: value for key, value in message.items() if key in KNOWN_KEYS} for message in messages]


def _no_placeholder(row: Row) -> Row | None:
    spoken = [message.get("content") or "" for name in TURNS for message in row.get(name) or []]
    words = [row["text"]] if "text" in row else spoken
    return None if any(word.strip().lower() in texts.PLACEHOLDERS for word in words) else row


def _weighted(row: Row) -> Row | None:
    answers = [message for message in row.get("messages") or [] if message["role"] == "assistant"]
    return None if answers and all(message.get("weight") == 0 for message in answers) else row


def _as_it_is(row: Row) -> Row | None:
    return row  # the rows to leave out are known by their lines


FIXES: dict[str, Fix] = {
    "broken_encoding": _on_texts(texts.decoded_again),
    "control_characters": _on_texts(texts.without_invisible),
    "special_tokens": _on_texts(texts.without_special),
    "secret": _on_texts(texts.without_secrets),
    "personal_data": _on_texts(texts.without_personal),
    "outer_space": _on_texts(str.strip, only="assistant"),
    "unknown_keys": _on_messages(known_keys),
    "system_not_first": _on_messages(system_first),
    "not_alternating": _on_messages(joined),
    "ends_without_answer": _on_messages(up_to_last_answer),
    "placeholder_text": _no_placeholder,
    "nothing_weighted": _weighted,
    "template_refuses": _as_it_is,
    "nothing_trained": _as_it_is,
    "duplicate": _as_it_is,  # fixer() does it last
}
