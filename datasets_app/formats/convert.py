"""The one pass over an uploaded file: read, recognise, normalise, count, write Parquet. Bounded memory whatever the size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from datasets_app.formats.bundle import Bundle, rows_of
from datasets_app.formats.encoding import UTF8, name_of
from datasets_app.formats.jsonrows import Row
from datasets_app.formats.mapping import suggest
from datasets_app.formats.picking import columns_of, fields_of, options_of, said
from datasets_app.formats.problems import Problem, Problems, RowError, excerpt_of
from datasets_app.formats.rowsfile import RowsWriter
from datasets_app.formats.rules import ABOUT_THE_FILE
from datasets_app.formats.schemas import Canonical, Shape, detect, normalise
from datasets_app.formats.source import Source

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
        _write(everything, target, shape, mapping, outcome, examine(shape, mapping, outcome.problems) if examine else None)
    _judge(outcome)
    return outcome


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


def _write(
    items: Iterator[Row | Problem],
    target: Path,
    shape: Shape,
    mapping: dict[str, Any],
    outcome: Outcome,
    examiner: Examiner | None,
) -> None:
    writer = RowsWriter(target, shape.kind)
    seen: dict[int, int] = {}
    try:
        for item in items:
            if _note(item, outcome):
                row = _usable(item, shape, mapping, outcome)  # type: ignore[arg-type]
                if row is not None:
                    _look_for_duplicate(row, item.line, seen, outcome)  # type: ignore[union-attr, arg-type]
                    if examiner:
                        examiner.row(item.line, outcome.rows, item.data, row.built)  # type: ignore[union-attr, arg-type]
                    writer.add(item.line, row.values | {"extra": row.extra}, row.size)  # type: ignore[union-attr, arg-type]
    finally:
        writer.close()
    outcome.valid_rows = writer.rows
    if examiner and writer.rows:
        outcome.summary = examiner.finish()
    if len(seen) >= FINGERPRINTS:
        words = f"Duplicates were looked for among the first {FINGERPRINTS:,} different rows only."
        outcome.problems.add(Problem("duplicates_unchecked", words))


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


def _look_for_duplicate(row: Canonical, line: int, seen: dict[int, int], outcome: Outcome) -> None:
    first = seen.get(row.fingerprint)
    if first is not None:
        outcome.problems.add(Problem("duplicate", f"The same as the row on line {first}.", line, outcome.rows))
    elif len(seen) < FINGERPRINTS:
        seen[row.fingerprint] = line


def _judge(outcome: Outcome) -> None:
    """What can only be said at the end."""
    if not outcome.rows and not outcome.problems.errors:
        outcome.problems.add(Problem("no_rows", "The file has no rows.", line=1))
    if outcome.valid_rows == 1:
        words = "There is one usable row only: nothing can be held out to evaluate on. Add more rows."
        outcome.problems.add(Problem("few_rows", words))
