"""What differs between two sets of rows: removed, added, changed, in the order of the files.

A row is the same when all its text is. One that is gone and one that is new at the same place are one changed row when they
share their first turn, their question or their answer (but for case and blanks). Some hundred bytes a row and side are kept, however long the rows are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_app.formats.rowsfile import iterate, read_slice
from datasets_app.formats.splits import answer_text, digest, plain, prompt_text

LOOK_AHEAD = 20  # rows that may have come in before a changed one
CHANGED, REMOVED, ADDED = "changed", "removed", "added"


@dataclass
class Difference:
    """`pairs` are (what, row number before, row number after), None where there is none."""

    same: int = 0
    pairs: list[tuple[str, int | None, int | None]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        found = Counter(what for what, _, _ in self.pairs)
        return {"same": self.same, **{what: found[what] for what in (CHANGED, REMOVED, ADDED)}}


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a row is recognised by: its text with the how-manieth of its kind it is, its question, its answer."""

    whole: tuple[int, int]
    asked: int
    answer: int
    opening: int


def compare(before: Path, after: Path) -> Difference:
    """Both files are read once."""
    old, new = _marks(before), _marks(after)
    kept_old, kept_new = {mark.whole for mark in old}, {mark.whole for mark in new}
    found = Difference()
    at = then = 0
    while at < len(old) or then < len(new):
        gone = at < len(old) and old[at].whole not in kept_new
        fresh = then < len(new) and new[then].whole not in kept_old
        if gone and fresh and _related(old[at], new[then]):
            found.pairs.append((CHANGED, at, then))
            at, then = at + 1, then + 1
        elif gone and not (fresh and any(_related(old[at], mark) for mark in new[then + 1 : then + LOOK_AHEAD])):
            found.pairs.append((REMOVED, at, None))
            at += 1
        elif fresh:
            found.pairs.append((ADDED, None, then))
            then += 1
        else:  # both sides have these rows, here or elsewhere
            found.same += at < len(old)
            at, then = at + 1, then + 1
    return found


def _related(old: _Marks, new: _Marks) -> bool:
    return old.asked == new.asked or old.answer == new.answer or old.opening == new.opening


def _marks(path: Path) -> list[_Marks]:
    seen: Counter[int] = Counter()
    found = []
    for batch in iterate(path):
        for row in batch:
            whole = _number(repr({name: value for name, value in row.items() if name != "line" and value is not None}))
            seen[whole] += 1
            texts = (prompt_text(row), answer_text(row), _opening(row))
            found.append(_Marks((whole, seen[whole]), *(_number(text) for text in texts)))
    return found


def _opening(row: dict[str, Any]) -> str:
    """What the user says first; a long conversation may have changed in its middle and at its end."""
    turns = row.get("prompt") or row.get("messages") or []
    return next((plain(turn["content"]) for turn in turns if turn["role"] == "user"), prompt_text(row))


def _number(text: str) -> int:
    return int.from_bytes(digest(text)[:8], "big")


def read_pairs(before: Path, after: Path, pairs: list[tuple[str, int | None, int | None]]) -> list[dict[str, Any]]:
    """{what, before, after} with the rows themselves."""
    return [{"what": what, "before": _row(before, old), "after": _row(after, new)} for what, old, new in pairs]


def _row(path: Path, number: int | None) -> dict[str, Any] | None:
    rows = read_slice(path, number, 1) if number is not None else []
    return rows[0] if rows else None
