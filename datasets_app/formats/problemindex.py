"""Which rows have which problem: for each rule a file of row numbers beside the rows, so that all of them can be paged through.

A number is the place of a usable row in the rows' file, from 0; those of a rule ascend. Rows that could not be used are not among
them: `unusable` holds their 1-based numbers in the uploaded file.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path

UNUSABLE = "unusable"
WAITING = 8192  # numbers of a rule kept before they are written
_NAME = re.compile(r"[a-z_]{1,60}")


class ProblemIndex:
    """Writes such files into a folder; a rule's file begins anew."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting: dict[str, array[int]] = {}
        self._last: dict[str, int] = {}
        self._unordered: set[str] = set()

    def add(self, rule: str, number: int) -> None:
        waiting = self._waiting.get(rule)
        if waiting is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file(rule).unlink(missing_ok=True)
            waiting = self._waiting[rule] = array("q")
        if number <= self._last.get(rule, -1):
            self._unordered.add(rule)
        self._last[rule] = number
        waiting.append(number)
        if len(waiting) >= WAITING:
            self._write(rule)

    def close(self) -> None:
        """Write what waits; a rule that was not found in the rows' order is put in it."""
        for rule in self._waiting:
            self._write(rule)
        for rule in self._unordered:
            import numpy as np

            np.unique(np.fromfile(self._file(rule), np.int64)).tofile(self._file(rule))

    def drop(self, rule: str) -> None:
        """Forget a rule that something better has replaced."""
        if self._waiting.pop(rule, None) is not None:
            self._file(rule).unlink(missing_ok=True)
            self._last.pop(rule, None)
            self._unordered.discard(rule)

    def move_to(self, folder: Path) -> None:
        """Put the rules' files of a closed index beside those that are there."""
        if self._waiting:
            folder.mkdir(parents=True, exist_ok=True)
        for rule in self._waiting:
            self._file(rule).replace(file_of(folder, rule))

    def _write(self, rule: str) -> None:
        with self._file(rule).open("ab") as file:
            self._waiting[rule].tofile(file)
        self._waiting[rule] = array("q")

    def _file(self, rule: str) -> Path:
        return file_of(self.folder, rule)


def file_of(folder: Path, rule: str) -> Path:
    if not _NAME.fullmatch(rule):
        raise ValueError(f"{rule[:60]!r} is no rule")
    return folder / f"{rule}.rows"


def count_of(folder: Path, rule: str) -> int:
    """How many rows have the problem."""
    file = file_of(folder, rule)
    return file.stat().st_size // 8 if file.exists() else 0


def numbers_of(folder: Path, rule: str, offset: int = 0, limit: int | None = None) -> list[int]:
    """The rows' numbers from the `offset`-th; only what is asked for is read."""
    file, found = file_of(folder, rule), array("q")
    if file.exists():
        wanted = max(0, count_of(folder, rule) - offset)
        with file.open("rb") as opened:
            opened.seek(8 * offset)
            found.fromfile(opened, wanted if limit is None else min(limit, wanted))
    return found.tolist()


def members_of(part: Path) -> Path:
    """Beside a file that holds some of the rows: which of all rows those are, in the same form."""
    return part.with_suffix(".rows")


def numbers_within(folder: Path, rule: str, part: Path) -> list[int]:
    """The places in `part`, a split, of its rows that have the problem."""
    import numpy as np

    file, members = file_of(folder, rule), members_of(part)
    if not file.exists() or not members.exists():
        return []
    return np.flatnonzero(np.isin(np.fromfile(members, np.int64), np.fromfile(file, np.int64))).tolist()
