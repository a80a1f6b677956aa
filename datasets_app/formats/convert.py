"""The one pass over an uploaded file: read, recognise, normalise, count, write Parquet. Bounded memory whatever the size."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Protocol

from datasets_app.formats.bundle import Bundle, rows_of
from datasets_app.formats.chatblocks import Checked, checked_blocks, key_of
from datasets_app.formats.encoding import UTF8, name_of
from datasets_app.formats.jsonrows import Row, parse_row, too_long
from datasets_app.formats.mapping import suggest
from datasets_app.formats.picking import columns_of, fields_of, options_of, said
from datasets_app.formats.problems import Problem, Problems, RowError, excerpt_of
from datasets_app.formats.readers import CUT_OFF
from datasets_app.formats.rowsfile import RowsWriter
from datasets_app.formats.rules import ABOUT_THE_FILE
from datasets_app.formats.schemas import Canonical, Shape, detect, normalise
from datasets_app.formats.source import DAMAGED, MAX_ROW_BYTES, Source, is_blank

SAMPLE_ROWS = 100
SAMPLE_BYTES = 8 * 1024**2
SAMPLE_ITEMS = 5000
COLUMNS_KEPT = 200
REPORT_EVERY = 0.3  # seconds
# Looking for duplicates keeps one number for each different row: this many are about 100 MB.
FINGERPRINTS = 1_000_000


class Examiner(Protocol):
    """Looks at every usable row beside us (datasets_app.doctor); what it finds goes into the outcome's problems."""

    def row(self, line: int, number: int, raw: dict[str, Any], row: dict[str, Any]) -> None: ...

    def finish(self) -> dict[str, Any]: ...


Examine = Callable[[Shape, dict[str, Any], Problems], Examiner]
OnProgress = Callable[[int, int], None]  # (bytes done, bytes in all); may raise to stop the pass


@dataclass
class Outcome:
    """What was found in a file. `format` is "" when it was not recognised; then no rows were written."""

    format: str = ""
    kind: str = ""
    rows: int = 0
    valid_rows: int = 0
    columns: list[str] = field(default_factory=list)
    suggestion: dict[str, Any] = field(default_factory=dict)  # the mapping taken because the names left no doubt
    problems: Problems = field(default_factory=Problems)
    summary: dict[str, Any] = field(default_factory=dict)


def convert(
    source: Source | Bundle, target: Path, mapping: dict[str, Any], on_progress: OnProgress, examine: Examine | None = None
) -> Outcome:
    """Read every row of the source and write the usable ones to `target` (Parquet); `examine` makes who looks at them closer."""
    outcome = Outcome()
    document = options_of(mapping).get("document", "line")
    items = rows_of(source, document)
    sample = _take_sample(items, source)
    raw = [item.data for item in sample if isinstance(item, Row)]
    outcome.columns = list(dict.fromkeys(name for row in raw for name in row))[:COLUMNS_KEPT]
    shape = _shape(outcome, raw, mapping)
    mapping = outcome.suggestion | mapping
    _say_how_it_was_read(source, document, outcome)
    everything = _watched(chain(sample, items), source, on_progress)
    if shape is None:
        _count(everything, outcome)
    else:
        outcome.format, outcome.kind = shape.format, shape.kind
        rows = _Rows(target, shape, mapping, outcome, examine(shape, mapping, outcome.problems) if examine else None)
        with closing(rows):
            if isinstance(source, Source) and not mapping and _is_plain_chat(source, shape, sample):
                _take_blocks(source, rows, on_progress)
            else:
                for item in everything:
                    rows.take(item)
        rows.finish()
    _judge(outcome)
    return outcome


def _is_plain_chat(source: Source, shape: Shape, sample: list[Row | Problem]) -> bool:
    """Whether the first rows are lines with messages and nothing else: then Arrow reads them (chatblocks.py)."""
    rows = [item.data for item in sample if isinstance(item, Row)]
    plain = sum(row.keys() == {"messages"} for row in rows)
    lines = source.kind in {"jsonl", "ndjson"} and source.head.lstrip().startswith(b"{")
    return shape.format == "openai" and lines and plain > 0.8 * len(rows)


def _take_sample(items: Iterator[Row | Problem], source: Source | Bundle) -> list[Row | Problem]:
    """The first rows, enough to recognise the format by."""
    sample: list[Row | Problem] = []
    rows = 0
    for item in items:
        sample.append(item)
        rows += isinstance(item, Row)
        if rows >= SAMPLE_ROWS or len(sample) >= SAMPLE_ITEMS or source.position > SAMPLE_BYTES:
            break
    return sample


def _shape(outcome: Outcome, raw: list[dict[str, Any]], mapping: dict[str, Any]) -> Shape | None:
    """The format, or None with a Problem that says what was seen and what to do."""
    absent = [column for column in columns_of(mapping) if raw and column not in outcome.columns]
    for column in absent:
        words = f"The mapping names the column “{column}”, which the file does not have. It has: {_listed(outcome.columns)}."
        outcome.problems.add(Problem("missing_column", words, line=1, column=column))
    if absent:
        return None
    shape = detect(raw, mapping)
    if shape is None and not fields_of(mapping):
        shape = _guessed_shape(outcome, raw, mapping)
    if shape is None and raw:
        outcome.problems.add(Problem("unknown_format", _unknown(outcome, mapping), line=1, excerpt=excerpt_of(raw[0])))
    return shape


def _guessed_shape(outcome: Outcome, raw: list[dict[str, Any]], mapping: dict[str, Any]) -> Shape | None:
    """Question and answer under names that leave no doubt; said, so that a person can confirm or map."""
    guessed = suggest(outcome.columns)
    shape = detect(raw, guessed | mapping) if guessed else None
    if shape is not None:
        outcome.suggestion = guessed
        pairs = " and ".join(f"“{column}” as the {field}" for field, column in guessed.items())
        outcome.problems.add(Problem("guessed_mapping", f"Taken by their names: {pairs}. Map the columns if that is wrong."))
    return shape


def _say_how_it_was_read(source: Source | Bundle, document: str, outcome: Outcome) -> None:
    if source.encoding != UTF8:
        words = f"The file is in {name_of(source.encoding)}, not UTF-8; it was read in that."
        outcome.problems.add(Problem("other_encoding", words))
    if source.kind in {"txt", "md"}:
        unit = {"line": "each line is", "paragraph": "each run of lines between blank ones is", "file": "the whole file is"}[
            document
        ]
        outcome.problems.add(Problem("text_documents", f"Plain text: {unit} one document. The mapping can change that."))


def _unknown(outcome: Outcome, mapping: dict[str, Any]) -> str:
    seen = f"The columns {_listed(outcome.columns)} are no format we know"
    if fields := fields_of(mapping):
        seen += f", even with {', '.join(f'{field} ← {said(pick)}' for field, pick in fields.items())}"
    return f"{seen}. Say which column is the prompt and which the completion (or name messages, instruction and output, or text)."


def _listed(columns: list[str]) -> str:
    shown = ", ".join(f"“{column[:40]}”" for column in columns[:8])
    return shown + (f" and {len(columns) - 8} more" if len(columns) > 8 else "")


def _watched(items: Iterator[Row | Problem], source: Source | Bundle, on_progress: OnProgress) -> Iterator[Row | Problem]:
    """Passes the items on and tells how far the file has been read, a few times a second."""
    told = 0.0
    for number, item in enumerate(items):
        if number % 64 == 0 and time.monotonic() - told >= REPORT_EVERY:
            on_progress(source.position, source.total)
            told = time.monotonic()
        yield item
    on_progress(source.position, source.total)


def _count(items: Iterator[Row | Problem], outcome: Outcome) -> None:
    for item in items:
        _note(item, outcome)


def _note(item: Row | Problem, outcome: Outcome) -> bool:
    """Count one item; True when it is a row to look into."""
    if isinstance(item, Row):
        outcome.rows += 1
        return True
    if item.rule not in ABOUT_THE_FILE:
        outcome.rows += 1
        item = Problem(item.rule, item.message, item.line, outcome.rows, item.column, item.path, item.excerpt)
    outcome.problems.add(item)
    return False


def _take_blocks(source: Source, rows: _Rows, on_progress: OnProgress) -> None:
    told = 0.0
    try:
        for block in checked_blocks(source):
            rows.take_block(block)
            if time.monotonic() - told >= REPORT_EVERY:
                on_progress(source.position, source.total)
                told = time.monotonic()
    except DAMAGED:
        rows.take(Problem("damaged_file", CUT_OFF))
    on_progress(source.position, source.total)


class _Rows:
    """Where the rows of one pass go: usable ones into the file, what is found into the outcome."""

    def __init__(self, target: Path, shape: Shape, mapping: dict[str, Any], outcome: Outcome, examiner: Examiner | None):
        self.writer = RowsWriter(target, shape.kind)
        self.shape, self.mapping, self.outcome, self.examiner = shape, mapping, outcome, examiner
        self.seen: dict[int, int] = {}
        self.in_blocks = False

    def take(self, item: Row | Problem) -> None:
        if not _note(item, self.outcome):
            return
        row = _usable(item, self.shape, self.mapping, self.outcome)  # type: ignore[arg-type]
        if row is None:
            return
        line = item.line or 0
        key = key_of(row.built["messages"]) if self.in_blocks and not row.built.get("tools") else None
        self._look_for_duplicate(row.fingerprint if key is None else key, line, self.outcome.rows)
        if self.examiner:
            self.examiner.row(line, self.outcome.rows, item.data, row.built)  # type: ignore[union-attr]
        self.writer.add(line, row.values | {"extra": row.extra}, row.size)

    def take_block(self, block: Checked) -> None:
        """The good rows of a block as they are, the others one by one, each in its place."""
        self.in_blocks = True
        lines, at = block.lines.to_pylist(), 0
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
        if start == stop:
            return
        messages = block.messages.slice(start, stop - start)
        if not self.examiner and self._all_new(block.keys[start:stop].tolist(), lines[start:stop]):
            self.outcome.rows += stop - start
            self.writer.add_many(block.lines.slice(start, stop - start), messages)
            return
        for line, key, text in zip(lines[start:stop], block.keys[start:stop].tolist(), self._texts(messages), strict=False):
            self.outcome.rows += 1
            self._look_for_duplicate(key, line, self.outcome.rows)
            if self.examiner:
                turns = json.loads(text)
                self.examiner.row(line, self.outcome.rows, {"messages": turns}, {"messages": turns, "tools": None})
        self.writer.add_many(block.lines.slice(start, stop - start), messages)

    def _all_new(self, keys: list[int], lines: list[int]) -> bool:
        """Whether none of these rows was there before; then they are remembered."""
        new = dict(zip(keys, lines, strict=True))
        if len(new) < len(keys) or len(self.seen) + len(keys) > FINGERPRINTS or not self.seen.keys().isdisjoint(new):
            return False
        self.seen.update(new)
        return True

    def _texts(self, messages: Any) -> Iterable[str]:
        """The rows' texts where somebody looks at them."""
        return messages.to_pylist() if self.examiner else repeat("")

    def _look_for_duplicate(self, key: int, line: int, number: int) -> None:
        first = self.seen.get(key)
        if first is not None:
            self.outcome.problems.add(Problem("duplicate", f"The same as the row on line {first}.", line, number))
        elif len(self.seen) < FINGERPRINTS:
            self.seen[key] = line

    def close(self) -> None:
        self.writer.close()

    def finish(self) -> None:
        """What can be said when every row was taken."""
        self.outcome.valid_rows = self.writer.rows
        if self.examiner and self.writer.rows:
            self.outcome.summary = self.examiner.finish()
        if len(self.seen) >= FINGERPRINTS:
            words = f"Duplicates were looked for among the first {FINGERPRINTS:,} different rows only."
            self.outcome.problems.add(Problem("duplicates_unchecked", words))


def _usable(item: Row, shape: Shape, mapping: dict[str, Any], outcome: Outcome) -> Canonical | None:
    """The canonical row, or None with a Problem noted."""
    warnings: list[tuple[str, str, str]] = []
    try:
        row = normalise(shape, item.data, mapping, lambda *warning: warnings.append(warning))
    except RowError as error:
        place = {"line": item.line, "row": outcome.rows, "column": error.column, "path": error.path}
        outcome.problems.add(Problem(error.rule, error.message, **place, excerpt=excerpt_of(item.data)))  # type: ignore[arg-type]
        return None
    for rule, message, path in warnings:
        outcome.problems.add(Problem(rule, message, item.line, outcome.rows, "", path, excerpt_of(item.data)))
    return row


def _judge(outcome: Outcome) -> None:
    """What can only be said at the end."""
    if not outcome.rows and not outcome.problems.errors:
        outcome.problems.add(Problem("no_rows", "The file has no rows.", line=1))
    if outcome.valid_rows == 1:
        words = "There is one usable row only: nothing can be held out to evaluate on. Add more rows."
        outcome.problems.add(Problem("few_rows", words))
