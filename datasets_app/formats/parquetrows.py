"""Parquet → rows. A row's line is its number, counted from 1."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from datasets_app.formats.csvrows import MAX_COLUMNS
from datasets_app.formats.jsonrows import Row, too_long
from datasets_app.formats.problems import Problem
from datasets_app.formats.source import MAX_ROW_BYTES, Damaged, Source

BATCH_BYTES = 8 * 1024**2
MAX_BATCH = 1000


def read_parquet(source: Source) -> Iterator[Row | Problem]:
    """One dict a row; null values of nested objects are left out, as they only stand for keys other rows have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if source.suffix != ".parquet":  # it is read from both ends, so it is unpacked first
        with tempfile.TemporaryFile(dir=source.path.parent) as plain:
            shutil.copyfileobj(source.stream, plain, 1024**2)
            plain.seek(0)
            yield from _rows(pq.ParquetFile(plain), source)
        return
    try:
        file = pq.ParquetFile(source.raw, pre_buffer=False, buffer_size=1024**2)
        yield from _rows(file, source)
    except (OSError, pa.ArrowException) as error:
        raise Damaged(str(error)) from None


def _rows(file: Any, source: Source) -> Iterator[Row | Problem]:
    names = file.schema_arrow.names
    if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
        words = f"The file has {len(names):,} columns; {MAX_COLUMNS:,} at most, each name once."
        yield Problem("bad_header", words, line=1)
        return
    meta, number = file.metadata, 0
    for group in range(meta.num_row_groups):
        facts = meta.row_group(group)
        size = max(1, min(MAX_BATCH, BATCH_BYTES * max(1, facts.num_rows) // max(1, facts.total_byte_size)))
        for batch in file.iter_batches(batch_size=size, row_groups=[group], use_threads=False):
            for row in _values(batch):
                number += 1
                yield too_long(number) if row is None else Row(number, row)
            source.passed = source.total * number // max(1, meta.num_rows)


def _values(batch: Any) -> Iterator[dict[str, Any] | None]:
    if batch.nbytes > MAX_ROW_BYTES:
        for at in range(batch.num_rows):
            one = batch.slice(at, 1)
            yield None if one.nbytes > MAX_ROW_BYTES else _plain(one.to_pylist()[0])
        return
    yield from (_plain(row) for row in batch.to_pylist())


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json_like(value) for name, value in row.items()}


def _json_like(value: Any) -> Any:
    """Only what JSON has: dates become text, decimals numbers, bytes their number."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        return {key: _json_like(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_json_like(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return f"[{len(value):,} bytes]"
    return value if isinstance(value, (bool, int, float)) else str(value)
