"""Rows that name the row they continue (`id` and `parent_id`): whether those are there. Nothing is put together of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from datasets_app.formats.problems import Problem

ID, PARENTS = "id", ("parent_id", "parent")
LIMIT = 500_000  # rows whose ids are remembered: about 90 MB


def parent_column(columns: Iterable[str]) -> str | None:
    """The column that names a parent, in a file whose rows have an id."""
    names = set(columns)
    return next((name for name in PARENTS if ID in names and name in names), None)


class Threads:
    """Sees the rows of such a file."""

    def __init__(self, column: str):
        self.column = column
        self.rows: dict[str, tuple[str | None, int, int, int]] = {}  # id → parent, line, number, place

    def row(self, raw: dict[str, Any], line: int, number: int, at: int) -> None:
        if len(self.rows) < LIMIT and raw.get(ID) is not None:
            self.rows[str(raw[ID])] = (_parent(raw.get(self.column)), line, number, at)

    def findings(self) -> Iterator[Problem]:
        """All that continue another row are told in one line; those that can't, one by one."""
        continuing = sum(parent is not None for parent, *_ in self.rows.values())
        if not continuing:
            return
        words = f"{continuing:,} rows name the row they continue in “{self.column}”; each is learned by itself."
        yield Problem("rows_continue", words, column=self.column)
        if len(self.rows) >= LIMIT:
            return  # the parent may be among those that are not remembered
        round_about = self._in_circles()
        for name, (parent, line, number, at) in self.rows.items():
            if parent is not None and (parent == name or parent not in self.rows):
                words = f"The row continues {'itself' if parent == name else f'“{parent[:60]}”, which is not in the file'}."
                yield Problem("unknown_parent", words, line, number, self.column, self.column, at=at)
            elif name in round_about:
                yield Problem(
                    "parent_cycle", "The row continues one that continues it.", line, number, self.column, self.column, at=at
                )

    def _in_circles(self) -> set[str]:
        """The ids from which no way leads to a first row."""
        fine: dict[str, bool] = {}
        for name in self.rows:
            way: list[str] = []
            step: str | None = name
            while step is not None and step in self.rows and step not in fine:
                fine[step] = False  # on the way: met again before an end, it is a circle
                way.append(step)
                step = self.rows[step][0]
            ends = step is None or step not in self.rows or fine[step]
            fine.update(dict.fromkeys(way, ends))
        return {name for name, ends in fine.items() if not ends}


def _parent(value: Any) -> str | None:
    return None if value in (None, "", -1, "-1") else str(value)
