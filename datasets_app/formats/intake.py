"""Where the rows of one pass go: usable ones into the rows' file, what is found into the outcome."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain
from pathlib import Path
from typing import Any

from datasets_app.formats.blocks import Checked
from datasets_app.formats.columns import Columns
from datasets_app.formats.jsonrows import Row, parse_row, too_long
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.picking import is_empty, places_in
from datasets_app.formats.plainshapes import Plain
from datasets_app.formats.problems import Problem, RowError, excerpt_of
from datasets_app.formats.rowsfile import RowsWriter
from datasets_app.formats.rules import ABOUT_THE_FILE
from datasets_app.formats.schemas import Canonical, Shape, normalise
from datasets_app.formats.source import MAX_ROW_BYTES, is_blank
from datasets_app.formats.threads import Threads, parent_column


def note(item: Row | Problem, outcome: Outcome) -> bool:
    """Count one item; True when it is a row to look into."""
    if isinstance(item, Row):
        outcome.rows += 1
        return True
    if item.rule not in ABOUT_THE_FILE:
        outcome.rows += 1
        outcome.unusable.append(outcome.rows)
        item = Problem(item.rule, item.message, item.line, outcome.rows, item.column, item.path, item.excerpt)
    outcome.problems.add(item)
    return False


class Intake:
    """Takes rows one by one, or by the block where `plain` tells what most lines look like."""

    def __init__(
        self,
        target: Path,
        shape: Shape,
        mapping: dict[str, Any],
        outcome: Outcome,
        plain: Plain | None = None,
        *,
        packed: bool = True,
    ):
        self.writer, self.columns = RowsWriter(target, shape.kind, packed=packed), Columns(shape, mapping)
        self.shape, self.mapping, self.outcome, self.plain = shape, mapping, outcome, plain
        parent = parent_column(outcome.columns)
        self.threads = Threads(parent) if parent else None
        self.places = places_in(mapping)

    def take(self, item: Row | Problem) -> None:
        if not note(item, self.outcome):
            return
        row = self._usable(item)  # type: ignore[arg-type]
        if row is None:
            self.outcome.unusable.append(self.outcome.rows)
            return
        line = item.line or 0
        if words := self.columns.row(item.data):  # type: ignore[union-attr]
            self._note("two_formats", words, line)
        if gap := next((place for place in self.places if is_empty(item.data, place)), None):  # type: ignore[union-attr]
            self._note("template_gap", f"“{gap[:60]}” has no value here; the template was filled without it.", line)
        if self.threads:
            self.threads.row(item.data, line, self.outcome.rows, self.writer.rows)  # type: ignore[union-attr]
        self.writer.add(line, row.values | {"extra": row.extra}, row.size)

    def take_block(self, block: Checked) -> None:
        """The good rows of a block as they are, the others one by one, each in its place."""
        lines, at = block.lines.to_pylist(), 0
        if lines:
            self.columns.rows(self.plain.columns_in_file, len(lines), block.empty)  # type: ignore[union-attr]
        for number, raw in block.others:
            until = bisect_left(lines, number)
            self._take_good(block, lines, at, until)
            at = until
            if raw is None:
                self.take(too_long(number))
            elif not is_blank(raw):
                self.take(parse_row(raw, number) if len(raw) <= MAX_ROW_BYTES else too_long(number))
        self._take_good(block, lines, at, len(lines))

    def _take_good(self, block: Checked, lines: list[int], start: int, stop: int) -> None:
        size = stop - start
        if size:
            self.outcome.rows += size
            columns = {name: column.slice(start, size) for name, column in block.columns.items()}
            self.writer.add_many(block.lines.slice(start, size), columns)

    def _note(self, rule: str, words: str, line: int, path: str = "", excerpt: str = "") -> None:
        self.outcome.problems.add(Problem(rule, words, line, self.outcome.rows, "", path, excerpt, self.writer.rows))

    def _usable(self, item: Row) -> Canonical | None:
        """The canonical row, or None with a Problem noted."""
        warnings: list[tuple[str, str, str]] = []
        try:
            row = normalise(self.shape, item.data, self.mapping, lambda *warning: warnings.append(warning))
        except RowError as error:
            place = {"line": item.line, "row": self.outcome.rows, "column": error.column, "path": error.path}
            self.outcome.problems.add(Problem(error.rule, error.message, **place, excerpt=excerpt_of(item.data)))  # type: ignore[arg-type]
            return None
        for rule, message, path in warnings:
            self._note(rule, message, item.line, path, excerpt_of(item.data))
        return row

    def close(self) -> None:
        self.writer.close()

    def finish(self) -> None:
        """What can be said when every row was taken."""
        self.outcome.valid_rows = self.writer.rows
        if self.writer.rows:
            self.outcome.summary = {"filled": self.columns.as_dict()}
            for problem in chain(self.columns.findings(), self.threads.findings() if self.threads else ()):
                self.outcome.problems.add(problem)
