"""What a command prints: tables for people, one JSON document with --json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table


class Show:
    """Results go to standard output, everything else to standard error, so that a pipe gets only results."""

    def __init__(self, as_json: bool = False):
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(highlight=False, stderr=True, soft_wrap=True)

    def result(self, data: Any, words: str) -> None:
        """One object: the sentence, or the object with --json."""
        print(json.dumps(data, indent=2, ensure_ascii=False)) if self.as_json else self.out.print(words, markup=False)

    def rows(self, rows: list[dict[str, Any]], columns: dict[str, Callable[[dict[str, Any]], Any]], empty: str) -> None:
        """A list: a table with these columns, or the objects with --json."""
        if self.as_json:
            print(json.dumps(rows, indent=2, ensure_ascii=False))
        elif not rows:
            self.err.print(empty, markup=False)
        else:
            self.out.print(_table(list(columns), [[str(cell(row) or "") for cell in columns.values()] for row in rows]))

    def note(self, words: str) -> None:
        self.err.print(words, markup=False)

    @contextmanager
    def bar(self, name: str):
        """A progress bar on a terminal, nothing elsewhere: `update(done, total, name, facts)`."""
        columns = [TextColumn("{task.description:<11}"), BarColumn(), TextColumn("{task.fields[facts]}")]
        with Progress(*columns, console=self.err, disable=self.as_json or not self.err.is_terminal, transient=True) as bar:
            task: TaskID = bar.add_task(name, total=None, facts="")

            def update(done: float, total: float | None, name: str = name, facts: str = "") -> None:
                bar.update(task, completed=done, total=total or None, description=name, facts=facts)

            yield update


def _table(heads: Sequence[str], rows: list[list[str]]) -> Table:
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def size(count: float | None) -> str:
    """1.5 MB"""
    value = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
