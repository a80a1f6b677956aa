"""CSV and TSV → rows. The first line names the columns; a row's line is the one it begins on, whatever its quoted cells span."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any

from datasets_app.formats.jsonrows import Row, too_long
from datasets_app.formats.problems import Problem, excerpt_of, printable
from datasets_app.formats.source import MAX_ROW_BYTES, Source, is_blank

DELIMITERS = ",;\t|"
MAX_COLUMNS = 1000
# Columns whose cells hold JSON: CSV has no lists.
JSON_CELLS = frozenset({"messages", "conversations", "conversation", "tools", "history"})
_QUOTED = re.compile(r'"[^"]*"')
_LIKE_DATA = re.compile(r"^\s*$|^[\d\s.,:%+-]+$|[.?!]\s*$|\n")
csv.field_size_limit(MAX_ROW_BYTES)


def read_csv(source: Source) -> Iterator[Row | Problem]:
    """One dict a record, cells as text. A file without a usable header gives one Problem about line 1 and no rows."""
    header_line = source.first().partition(b"\n")[0].decode("utf-8", "replace")
    lines = _Lines(source)
    reader = csv.reader(lines, delimiter=delimiter_of(header_line, source.kind), strict=True)
    header = _header(reader)
    if isinstance(header, Problem):
        yield header
        return
    yield from _records(reader, header, lines)


def delimiter_of(header: str, kind: str) -> str:
    """The separator that the header uses most; one that never occurs where the header is a single name."""
    bare = _QUOTED.sub("", header)
    if kind == "tsv":
        return "\t"
    best = max(DELIMITERS, key=bare.count)
    return best if best in bare else "\x1f"


class _Lines:
    """Feeds the csv module decoded lines and remembers where it is. Bytes that are not UTF-8 travel as surrogates."""

    def __init__(self, source: Source):
        self.lines = source.lines()
        self.begun: int | None = None  # the line on which the current record begins
        self.long: int | None = None  # a line that was too long to read

    def __iter__(self) -> Iterator[str]:
        for number, line in self.lines:
            if self.begun is None:
                if line is not None and is_blank(line):
                    continue
                self.begun = number
            if line is None:
                self.long = number
                continue
            yield line.decode("utf-8", "surrogateescape").replace("\x00", "\ufffd")

    def take(self) -> int:
        """The line of the record just read; the next line begins another."""
        begun, self.begun = self.begun or 1, None
        return begun


def _header(reader: Any) -> list[str] | Problem:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        return Problem("bad_header", f"Line 1 can't be read as column names: {error}.", line=1)
    excerpt = printable(",".join(names), 200)
    if not names:
        return Problem("no_rows", "The file has no rows.", line=1)
    if len(names) > MAX_COLUMNS:
        return Problem("bad_header", f"Line 1 has {len(names):,} columns; {MAX_COLUMNS:,} at most.", line=1, excerpt=excerpt)
    if any(_LIKE_DATA.search(name) or len(name) > 100 for name in names):
        words = "Line 1 looks like data, not like column names. Add a first line with names, such as prompt,completion."
        return Problem("no_header", words, line=1, excerpt=excerpt)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return Problem(
            "duplicate_column", f"Line 1 names the column “{twice}” twice. Rename one.", line=1, column=twice, excerpt=excerpt
        )
    return names


def _records(reader: Any, header: list[str], lines: _Lines) -> Iterator[Row | Problem]:
    lines.take()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield _broken(lines.take(), str(error))
            continue
        if lines.long is not None:
            yield too_long(lines.long)
            lines.long = None
        if cells:
            yield _row(lines.take(), header, cells)
    if lines.long is not None:
        yield too_long(lines.long)


def _broken(line: int, reason: str) -> Problem:
    if "unexpected end of data" in reason or "field larger" in reason:
        reason = "a quote opened in this row is never closed, so nothing after it could be read"
    return Problem("bad_csv", f"Not valid CSV: {reason}.", line=line)


def _row(line: int, header: list[str], cells: list[str]) -> Row | Problem:
    if len(cells) != len(header):
        words = f"The row has {len(cells)} cells, the header has {len(header)}. A cell with commas or line breaks needs quotes."
        return Problem("wrong_columns", words, line=line, excerpt=excerpt_of(dict(zip(header, cells, strict=False))))
    bad = next((name for name, cell in zip(header, cells, strict=True) if not _is_utf8(cell)), None)
    if bad is not None:
        words = f"Column “{bad}” holds bytes that are not UTF-8. Save the file as UTF-8."
        return Problem("not_utf8", words, line=line, column=bad, excerpt=excerpt_of(dict(zip(header, cells, strict=True))))
    return Row(line, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True)})


def _is_utf8(cell: str) -> bool:
    if cell.isascii():
        return True
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cell(name: str, text: str) -> Any:
    """Cells are text, but for the columns that hold lists; an empty cell of those is no value."""
    if name not in JSON_CELLS:
        return text
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text  # the shape's own rule says what is wrong with it
