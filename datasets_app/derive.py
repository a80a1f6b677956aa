"""The file of a dataset that was not uploaded: another version with fixes applied or rows added, or a mixture. Written as JSON Lines, then
read and checked like any upload."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from datasets_app.doctor.fixes import fixer
from datasets_app.formats.rowsfile import iterate_with_extras
from datasets_app.formats.schemas import FIELDS
from datasets_app.models import Dataset
from finetune.core import store

DERIVED = (Dataset.Origin.FIX, Dataset.Origin.MIXTURE, Dataset.Origin.COLLECTED)
Row = dict[str, Any]


class SourceGone(Exception):
    """What it was to be made from is no longer there."""


def make_source(dataset: Dataset, beat: Callable[[], None]) -> None:
    """Write the dataset's original file, whole or not at all, and note its size and hash. `beat` is called while it is published."""
    makers = {Dataset.Origin.FIX: _fixed, Dataset.Origin.MIXTURE: _mixed, Dataset.Origin.COLLECTED: _collected}
    rows = makers[Dataset.Origin(dataset.origin)](dataset)
    dataset.directory.mkdir(parents=True, exist_ok=True)
    staged = dataset.directory / f".original-{dataset.attempt}"
    try:
        dataset.bytes, dataset.content_hash = _write(staged, rows)
        staged.replace(dataset.directory / dataset.original_name)
    finally:
        staged.unlink(missing_ok=True)
    store.publish(dataset.directory / dataset.original_name, beat=beat)
    values = {"bytes": dataset.bytes, "content_hash": dataset.content_hash, "origin_detail": dataset.origin_detail}
    Dataset.objects.filter(pk=dataset.pk).update(**values)


def _write(path: Path, rows: Iterable[Row]) -> tuple[int, str]:
    size, found = 0, hashlib.sha256()
    with path.open("wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            file.write(line)
            size += len(line)
            found.update(line)
    return size, found.hexdigest()


def _fixed(dataset: Dataset) -> Iterator[Row]:
    parent, detail = dataset.parent, dataset.origin_detail
    if parent is None or not parent.rows_file.exists():
        raise SourceGone("The version this one was to be made from was deleted meanwhile.")
    rules = detail["rules"]
    doomed = (line for rule, lines in parent.report.get("lines", {}).items() if rule in rules for line in lines)
    fix = fixer(rules, doomed)
    changed = left_out = 0
    for row, extra in _rows(parent.rows_file):
        fixed = fix(row)
        changed += fixed is not None and fixed != row
        left_out += fixed is None
        if fixed is not None:
            yield _written(fixed, extra)
    detail |= {"changed": changed, "left_out": left_out, "unusable": (parent.rows or 0) - parent.report.get("valid_rows", 0)}


def _collected(dataset: Dataset) -> Iterator[Row]:
    """The rows of the version before, if there is one, and the new ones; in the file they have their place from then on."""
    if dataset.version > 1:
        if dataset.parent is None or not dataset.parent.rows_file.exists():
            raise SourceGone("The version this one was to be made from was deleted meanwhile.")
        for row, extra in _rows(dataset.parent.rows_file):
            yield _written(row, extra)
    yield from dataset.origin_detail.pop("rows")


def _rows(path: Path) -> Iterator[tuple[Row, Row]]:
    for batch in iterate_with_extras(path):
        yield from batch


def _written(row: Row, extra: Row) -> Row:
    """A canonical row as a file holds it; other columns come along unless their name means something to us."""
    own = {name: value for name, value in row.items() if name != "line" and value is not None}
    return own | {name: value for name, value in extra.items() if name not in FIELDS}


# --- mixtures ---------------------------------------------------------------------------------------------------------------


def _mixed(dataset: Dataset) -> Iterator[Row]:
    """The chosen rows of each part in their order, the parts interleaved evenly."""
    detail = dataset.origin_detail
    streams = []
    for number, part in enumerate(detail["parts"]):
        source = Dataset.objects.filter(pk=part["dataset_id"], owner=dataset.owner_id).first()
        if source is None or not source.rows_file.exists():
            raise SourceGone(f"“{part['name']}”, a part of this mixture, was deleted meanwhile.")
        chosen = choose(source.report.get("valid_rows") or source.rows or 0, part["rows"], f"{detail['seed']}:{number}")
        streams.append(_placed(_chosen(source.rows_file, chosen), part["rows"], number))
    for _, _, row in heapq.merge(*streams, key=lambda item: item[:2]):
        yield row


def _placed(rows: Iterator[Row], count: int, number: int) -> Iterator[tuple[float, int, Row]]:
    """Each row with its place between 0 and 1."""
    for at, row in enumerate(rows):
        yield (at + 0.5) / count, number, row


def choose(rows: int, wanted: int, seed: str) -> dict[int, int]:
    """How often each row is taken: all equally often, and the rest by a hash of its number; the same everywhere."""
    times, rest = divmod(wanted, rows)
    order = heapq.nsmallest(rest, range(rows), key=lambda row: hashlib.blake2b(f"{seed}:{row}".encode(), digest_size=8).digest())
    counts = dict.fromkeys(range(rows), times) if times else {}
    return counts | dict.fromkeys(order, times + 1)


def _chosen(path: Path, chosen: dict[int, int]) -> Iterator[Row]:
    for number, (row, extra) in enumerate(_rows(path)):
        for _ in range(chosen.get(number, 0)):
            yield _written(row, extra)
