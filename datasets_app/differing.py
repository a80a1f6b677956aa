"""What differs between the two sides of a changed row, for people to see: which turns, and which part of their texts."""

from __future__ import annotations

from typing import Any

from datasets_app.doctor.fixes import TURNS
from datasets_app.doctor.texts import shared_start

AROUND, MOST = 300, 4000  # characters shown before and after a change, and of it


def differing(change: dict[str, Any]) -> dict[str, Any]:
    """{what, before, after} without the turns that are the same on both sides; `same` counts them. A turn whose text differs has
    `parts` beside it: [{text, changed}]."""
    before, after = change["before"], change["after"]
    if before is None or after is None:
        return change | {"same": 0}
    sides, same = (dict(before), dict(after)), 0
    for name in TURNS:
        old, new = before.get(name) or [], after.get(name) or []
        if len(old) == len(new):
            pairs = [_marked(one, other) for one, other in zip(old, new, strict=True) if one != other]
            same += len(old) - len(pairs)
            sides[0][name], sides[1][name] = [one for one, _ in pairs], [other for _, other in pairs]
    return change | {"before": sides[0], "after": sides[1], "same": same}


def _marked(one: dict[str, Any], other: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = one.get("content"), other.get("content")
    if not isinstance(old, str) or not isinstance(new, str) or old == new:
        return one, other
    begin = len(shared_start(old, new))
    end = len(shared_start(old[begin:][::-1], new[begin:][::-1]))
    return one | {"parts": _parts(old, begin, end)}, other | {"parts": _parts(new, begin, end)}


def _parts(text: str, begin: int, end: int) -> list[dict[str, Any]]:
    """What both have, what only this side has, what both have again."""
    stop = len(text) - end
    before, after = text[max(0, begin - AROUND) : begin], text[stop : stop + AROUND]
    return [
        {"text": ("…" if begin > AROUND else "") + before, "changed": False},
        {"text": _visible(text[begin:stop][:MOST]) + ("…" if stop - begin > MOST else ""), "changed": True},
        {"text": after + ("…" if end > AROUND else ""), "changed": False},
    ]


def _visible(text: str) -> str:
    """Blanks and line breaks as signs where there is nothing else, and what can't be seen by its number."""
    if not text.strip():
        text = text.replace(" ", "·").replace("\t", "→").replace("\n", "⏎\n")
    return "".join(char if char.isprintable() or char in "\n\t" else f"[U+{ord(char):04X}]" for char in text)
