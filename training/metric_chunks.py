"""Metric events as columns: a chunk's Parquet file and back, losslessly, and what is enough to draw it. No I/O.

A million steps as rows of JSON take some 400 bytes each and seconds to read; as columns, numbers of one kind beside each other,
they take about 30. An event that doesn't fit the columns (a value that is no number, an unknown field) is kept as it is.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

FIELDS = {"step", "epoch", "split", "values", "elapsed_seconds"}
VALUE = "v:"  # before the names of the values' columns
SKETCH_EVERY = 128  # of so many neighbouring points a sketch has the lowest and the highest
FEW = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 2**53  # whole numbers beyond are no longer exact as floats


@dataclass(frozen=True)
class Event:
    """A metric event; `payload` is {step, epoch, split, values, elapsed_seconds}."""

    seq: int
    time: datetime
    payload: dict[str, Any]


def pack(events: Sequence[Event]) -> bytes:
    """The events as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fits = [_fits(event.payload) for event in events]
    told = [event.payload if fit else {} for event, fit in zip(events, fits, strict=True)]
    keys = list(dict.fromkeys(key for payload in told for key in payload.get("values", ())))
    columns: dict[str, Any] = {
        "seq": pa.array([event.seq for event in events], pa.int64()),
        "time": pa.array([(event.time - EPOCH) // MICROSECOND for event in events], pa.int64()),
        "split": pa.array([payload.get("split") for payload in told], pa.string()),
        "odd": pa.array([None if fit else json.dumps(event.payload) for event, fit in zip(events, fits, strict=True)], pa.string()),
    }
    columns |= {name: _numbers([payload.get(name) for payload in told]) for name in ("step", "epoch", "elapsed_seconds")}
    columns |= {f"{VALUE}{key}": _numbers([payload.get("values", {}).get(key) for payload in told]) for key in keys}
    table, out = pa.table(columns), io.BytesIO()
    floats = [name for name in table.column_names if pa.types.is_floating(table.schema.field(name).type)]
    whole = {name: "DELTA_BINARY_PACKED" for name in table.column_names if pa.types.is_integer(table.schema.field(name).type)}
    pq.write_table(
        table, out, compression="zstd", use_dictionary=["split"], use_byte_stream_split=floats, column_encoding=whole,
        write_statistics=False, store_schema=False,
    )  # fmt: skip
    return out.getvalue()


def unpack(packed: bytes, keys: Sequence[str] = ()) -> list[Event]:
    """All events of a chunk, as they were; with `keys` only those of their values, and nothing else is decoded."""
    return events_of(_table(packed, keys))


def unpack_thinned(packed: bytes, width: int, keys: Sequence[str] = ()) -> list[Event]:
    """Of each `width` neighbouring points of a split the lowest and the highest of the first of `keys` (the loss when there is
    none), and the split's first and last. Splits of few points, as evaluations are, are kept whole."""
    table = _table(packed, keys)
    return events_of(table.take(_extremes(table, width, keys[0] if keys else "")))


def sketch(packed: bytes) -> bytes:
    """The chunk's events that suffice for a coarse curve of the loss; `read_sketch` reads them without unpacking the chunk."""
    few = unpack_thinned(packed, SKETCH_EVERY)
    rows = [[event.seq, (event.time - EPOCH) // MICROSECOND, event.payload] for event in few]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 6)


def read_sketch(packed: bytes) -> list[Event]:
    rows = json.loads(zlib.decompress(packed))
    return [Event(seq, EPOCH + timedelta(microseconds=time), payload) for seq, time, payload in rows]


def last_steps(events: Iterable[Event]) -> dict[str, int]:
    """Split → the step of its last event."""
    return {str(event.payload.get("split")): int(event.payload.get("step") or 0) for event in events}


def events_of(table: Any) -> list[Event]:
    """The table's rows as events."""
    keys = [name.removeprefix(VALUE) for name in table.column_names if name.startswith(VALUE)]
    columns = table.to_pydict()
    values = zip(*(columns[f"{VALUE}{key}"] for key in keys), strict=True) if keys else ((),) * table.num_rows
    fixed = zip(*(columns[name] for name in ("seq", "time", "odd", "step", "epoch", "split", "elapsed_seconds")), strict=True)
    found = []
    for (seq, time, odd, step, epoch, split, elapsed), row in zip(fixed, values, strict=True):
        if odd is None:
            numbers = {key: value for key, value in zip(keys, row, strict=True) if value is not None}
            payload = {"step": step, "epoch": epoch, "split": split, "values": numbers, "elapsed_seconds": elapsed}
        else:
            payload = json.loads(odd)
        found.append(Event(seq, EPOCH + timedelta(microseconds=time), payload))
    return found


def _table(packed: bytes, keys: Sequence[str]) -> Any:
    """The chunk's columns: all, or those of every point and the values of these keys."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(packed), read_dictionary=["split"])
    names = [name for name in file.schema_arrow.names if not keys or not name.startswith(VALUE) or name[len(VALUE) :] in keys]
    # One thread: a chunk is small, and waking others takes longer than reading it. Chosen again, because to Parquet a name with a
    # dot is also a part of the name before it.
    return file.read(columns=names, use_threads=False).select(names)


def _fits(payload: dict[str, Any]) -> bool:
    values = payload.get("values")
    if set(payload) != FIELDS or not isinstance(values, dict) or not isinstance(payload["split"], str):
        return False
    if not all(payload[name] is None or _is_number(payload[name]) for name in ("step", "epoch", "elapsed_seconds")):
        return False
    return all(_is_number(value) for value in values.values())


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < EXACT)


def _numbers(values: list[Any]) -> Any:
    """Whole numbers stay whole where all of a column are."""
    import pyarrow as pa

    whole = all(value is None or isinstance(value, int) for value in values)
    return pa.array(
        values if whole else [None if value is None else float(value) for value in values], pa.int64() if whole else pa.float64()
    )


def _extremes(table: Any, width: int, key: str) -> Any:
    import numpy as np

    splits = table.column("split").combine_chunks().dictionary_encode()
    of_split = splits.indices.fill_null(-1).to_numpy()
    kept = [np.flatnonzero(table.column("odd").is_valid().to_numpy())]
    for code, split in enumerate(splits.dictionary.to_pylist()):
        indices = np.flatnonzero(of_split == code)
        name = f"{VALUE}{key or ('eval_loss' if split == 'eval' else 'loss')}"
        kept.append(indices if len(indices) <= FEW else indices[[0, -1]])
        if len(indices) > FEW and name in table.column_names:
            kept.append(indices[_of_buckets(table.column(name).to_numpy().astype(float)[indices], width)])
    return np.unique(np.concatenate(kept))


def _of_buckets(values: Any, width: int) -> Any:
    """Positions of the lowest and the highest number in each bucket; a bucket without numbers has none."""
    import numpy as np

    count = -(-len(values) // width)
    padded = np.full(count * width, np.nan)
    padded[: len(values)] = values
    buckets = padded.reshape(count, width)
    known = ~np.isnan(buckets).all(axis=1)
    starts = np.arange(count) * width
    low = starts + np.where(np.isnan(buckets), np.inf, buckets).argmin(axis=1)
    high = starts + np.where(np.isnan(buckets), -np.inf, buckets).argmax(axis=1)
    return np.unique(np.concatenate([low[known], high[known]]))
