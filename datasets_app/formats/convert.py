"""The one pass over an uploaded file: read, recognise, normalise, count, write Parquet. Bounded memory whatever the size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from datasets_app.formats.blocks import checked_blocks
from datasets_app.formats.bundle import Bundle, rows_of
from datasets_app.formats.intake import Intake, note
from datasets_app.formats.jsonrows import Row
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.picking import options_of
from datasets_app.formats.plainrows import check, plain_of
from datasets_app.formats.plainshapes import Plain
from datasets_app.formats.problemindex import ProblemIndex
from datasets_app.formats.problems import Problem, Problems
from datasets_app.formats.readers import CUT_OFF
from datasets_app.formats.recognise import say_how_it_was_read, shape_of
from datasets_app.formats.schemas import Shape
from datasets_app.formats.source import DAMAGED, Source

SAMPLE_ROWS = 100
SAMPLE_BYTES = 8 * 1024**2
SAMPLE_ITEMS = 5000
COLUMNS_KEPT = 200
REPORT_EVERY = 0.3  # seconds
OnProgress = Callable[[int, int], None]  # (bytes done, bytes in all); may raise to stop the pass


def convert(
    source: Source | Bundle,
    target: Path,
    mapping: dict[str, Any],
    on_progress: OnProgress,
    index: ProblemIndex | None = None,
    *,
    packed: bool = True,
) -> Outcome:
    """Read every row of the source and write the usable ones to `target` (Parquet); `index` keeps which of them have a problem.

    Not `packed`, the file is written in less time and takes more room until rowsfile.pack.
    """
    outcome = Outcome(problems=Problems(index))
    document = options_of(mapping).get("document", "line")
    items = rows_of(source, document)
    sample = _take_sample(items, source)
    raw = [item.data for item in sample if isinstance(item, Row)]
    outcome.columns = list(dict.fromkeys(name for row in raw for name in row))[:COLUMNS_KEPT]
    shape = shape_of(outcome, raw, mapping)
    mapping = outcome.suggestion | mapping
    say_how_it_was_read(source, document, outcome)
    everything = _watched(chain(sample, items), source, on_progress)
    if shape is None:
        for item in everything:
            note(item, outcome)
    else:
        outcome.format, outcome.kind = shape.format, shape.kind
        plain = _plain(source, shape, mapping)
        with closing(Intake(target, shape, mapping, outcome, plain, packed=packed)) as intake:
            if plain is not None and isinstance(source, Source):
                _take_blocks(source, plain, intake, on_progress)
            else:
                for item in everything:
                    intake.take(item)
        intake.finish()
    _judge(outcome)
    return outcome


def _plain(source: Source | Bundle, shape: Shape, mapping: dict[str, Any]) -> Plain | None:
    """What the lines look like where the file is JSON Lines and they can be told by a pattern."""
    if isinstance(source, Bundle) or source.kind not in {"jsonl", "ndjson"} or not source.head.startswith(b"{"):
        return None
    return plain_of(source.head, shape, mapping)


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


def _watched(items: Iterator[Row | Problem], source: Source | Bundle, on_progress: OnProgress) -> Iterator[Row | Problem]:
    """Passes the items on and tells how far the file has been read, a few times a second."""
    told = 0.0
    for number, item in enumerate(items):
        if number % 64 == 0 and time.monotonic() - told >= REPORT_EVERY:
            on_progress(source.position, source.total)
            told = time.monotonic()
        yield item
    on_progress(source.position, source.total)


def _take_blocks(source: Source, plain: Plain, intake: Intake, on_progress: OnProgress) -> None:
    told = 0.0
    try:
        for block in checked_blocks(source, lambda body: check(body, plain)):
            intake.take_block(block)
            if time.monotonic() - told >= REPORT_EVERY:
                on_progress(source.position, source.total)
                told = time.monotonic()
    except DAMAGED:
        intake.take(Problem("damaged_file", CUT_OFF))
    on_progress(source.position, source.total)


def _judge(outcome: Outcome) -> None:
    """What can only be said at the end."""
    if not outcome.rows and not outcome.problems.errors:
        outcome.problems.add(Problem("no_rows", "The file has no rows.", line=1))
    if outcome.valid_rows == 1:
        words = "There is one usable row only: nothing can be held out to evaluate on. Add more rows."
        outcome.problems.add(Problem("few_rows", words))
