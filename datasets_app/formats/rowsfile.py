"""Canonical rows as Parquet: written in bounded memory, read at any offset without what lies before it.

Columns: `line` (int64, 1-based line of the source), those of the row's kind (see schemas.py), lists as JSON text, and `extra`:
the texts and numbers of the columns nothing is learned from, as a JSON object, so that rows can be divided by them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

ROWS_PER_GROUP = 10_000
BYTES_PER_GROUP = 16 * 1024**2
BATCH = 200  # rows decoded at once when reading
LEVEL = 1  # of Zstandard
COLUMNS = {
    "sft": ("messages", "tools"),
    "text": ("text",),
    "preference": ("prompt", "chosen", "rejected", "tools"),
    "unpaired": ("prompt", "completion", "label", "tools"),
}
PLAIN = frozenset({"line", "text", "label"})
EXTRA = "extra"
HIDDEN = frozenset({"line", EXTRA})  # not columns of the row itself


class RowsWriter:
    """Appends canonical rows to a Parquet file; a group is written when it has enough rows or bytes."""

    def __init__(self, path: Path, kind: str, *, packed: bool = True):
        import pyarrow as pa

        types = {name: pa.bool_() if name == "label" else pa.string() for name in COLUMNS[kind]}
        own = [pa.field(name, type) for name, type in types.items()]
        self.schema = pa.schema([pa.field("line", pa.int64()), *own, pa.field(EXTRA, pa.string())])
        self._writer = _writer(path, self.schema, packed=packed)
        self._columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self._tables: list[Any] = []
        self._pool = ThreadPoolExecutor(1)  # Arrow packs without Python's lock
        self._writing: Future[None] | None = None
        self._bytes = 0
        self.rows = 0

    def add(self, line: int, row: dict[str, Any], size: int) -> None:
        """One row of about `size` bytes."""
        self._columns["line"].append(line)
        for name in self.schema.names[1:]:
            self._columns[name].append(row.get(name))
        self.rows += 1
        self._bytes += size
        if len(self._columns["line"]) >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._flush()

    def add_many(self, lines: Any, columns: dict[str, Any]) -> None:
        """Rows that are Arrow arrays already: their lines, and their columns as they are stored."""
        import pyarrow as pa

        self._gather()
        count = len(lines)
        given = {"line": lines, **columns}
        arrays = [given[name] if name in given else pa.nulls(count, self.schema.field(name).type) for name in self.schema.names]
        self._tables.append(pa.Table.from_arrays(arrays, schema=self.schema))
        self.rows += count
        self._bytes += sum(column.nbytes for column in columns.values())
        if self._bytes >= BYTES_PER_GROUP or sum(table.num_rows for table in self._tables) >= ROWS_PER_GROUP:
            self._flush()

    def _gather(self) -> None:
        """The rows added one by one become a table, behind those before them."""
        import pyarrow as pa

        if self._columns["line"]:
            self._tables.append(pa.table(self._columns, schema=self.schema))
            self._columns = {name: [] for name in self.schema.names}

    def _flush(self) -> None:
        """Write a group, beside whoever makes the next one."""
        import pyarrow as pa

        self._gather()
        if self._tables:
            table = pa.concat_tables(self._tables)
            self._tables, self._bytes = [], 0
            self._wait()
            self._writing = self._pool.submit(self._writer.write_table, table, row_group_size=ROWS_PER_GROUP)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()
            self._writing = None

    def close(self) -> None:
        try:
            self._flush()
            self._wait()
        finally:
            self._pool.shutdown()
            self._writer.close()


def _writer(path: Path, schema: Any, *, packed: bool) -> Any:
    """Every text is another one: a dictionary of them, and knowing the least of them, would only cost."""
    import pyarrow.parquet as pq

    known = [name for name in schema.names if name in PLAIN | {EXTRA, "tools"} and name != "text"]
    packing = {"compression": "zstd", "compression_level": LEVEL} if packed else {"compression": "none"}
    return pq.ParquetWriter(path, schema, use_dictionary=False, write_statistics=known, **packing)


def pack(path: Path, target: Path) -> None:
    """The same rows in the same groups, in less room."""
    with _opened(path) as file, closing(_writer(target, file.schema_arrow, packed=True)) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group, use_threads=False), row_group_size=ROWS_PER_GROUP)


def count_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def columns_in_use(path: Path) -> list[str]:
    """The columns that hold anything, without `line` and `extra`."""
    import pyarrow.parquet as pq

    meta = pq.read_metadata(path)
    groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
    names = meta.schema.names
    return [name for at, name in enumerate(names) if name not in HIDDEN and any(_has_values(group.column(at)) for group in groups)]


def _has_values(column: Any) -> bool:
    stats = column.statistics
    return stats is None or stats.null_count is None or stats.null_count < column.num_values


def read_slice(path: Path, offset: int, limit: int) -> list[dict[str, Any]]:
    """`limit` rows from `offset`, lists decoded. Touches only the row groups that hold them."""
    found: list[dict[str, Any]] = []
    with _opened(path) as file:
        before = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if before + count > offset and before < offset + limit:
                found += _from_group(file, group, offset - before, offset + limit - before)
            before += count
    return found


def read_numbers(path: Path, numbers: list[int]) -> list[dict[str, Any]]:
    """The rows at these places (from 0, ascending). Touches only the row groups that hold one."""
    found: list[dict[str, Any]] = []
    with _opened(path) as file:
        before = 0
        for group in range(file.num_row_groups):
            after = before + file.metadata.row_group(group).num_rows
            within = [number - before for number in numbers if before <= number < after]
            if within:
                found += _numbers_of_group(file, group, within)
            before = after
    return found


def _numbers_of_group(file: Any, group: int, numbers: list[int]) -> Iterator[dict[str, Any]]:
    at = 0
    for batch in file.iter_batches(batch_size=BATCH, row_groups=[group], use_threads=False):
        here = [number - at for number in numbers if at <= number < at + batch.num_rows]
        yield from (decode(batch.slice(number, 1).to_pylist()[0]) for number in here)
        at += batch.num_rows


def read_lines(path: Path, lines: list[int]) -> list[dict[str, Any]]:
    """The rows of these lines. Touches only the row groups that may hold one."""
    found: list[dict[str, Any]] = []
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            stats = file.metadata.row_group(group).column(0).statistics
            within = [line for line in lines if stats is None or not stats.has_min_max or stats.min <= line <= stats.max]
            if within:
                found += _lines_of_group(file, group, set(within))
    return found


def _lines_of_group(file: Any, group: int, lines: set[int]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=BATCH, row_groups=[group], use_threads=False):
        wanted = [at for at, line in enumerate(batch.column("line").to_pylist()) if line in lines]
        yield from (decode(batch.slice(at, 1).to_pylist()[0]) for at in wanted)


def _from_group(file: Any, group: int, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Rows start ≤ number < stop of one row group; both may lie outside it."""
    at = 0
    for batch in file.iter_batches(batch_size=BATCH, row_groups=[group], use_threads=False):
        first, last = max(0, start - at), min(batch.num_rows, stop - at)
        if first < last:
            yield from (decode(row) for row in batch.slice(first, last - first).to_pylist())
        at += batch.num_rows
        if at >= stop:
            return


def iterate(path: Path) -> Iterator[list[dict[str, Any]]]:
    """All rows in order, in batches, lists decoded."""
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            yield [decode(row) for row in batch.to_pylist()]


def iterate_with_extras(path: Path) -> Iterator[list[tuple[dict[str, Any], dict[str, Any]]]]:
    """All rows in order, in batches, each with what its other columns hold."""
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            yield [(decode(row), json.loads(row.get(EXTRA) or "{}")) for row in batch.to_pylist()]


def search(path: Path, words: str, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """The rows whose text holds `words` (whatever the case), from the `offset`-th of them, and how many there are in all."""
    words = words.lower()
    inside_json = json.dumps(words, ensure_ascii=False)[1:-1]
    found, total = [], 0
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            for row in batch.to_pylist():
                if _may_hold(row, words, inside_json) and holds(shown := decode(row), words):
                    total += 1
                    if offset < total <= offset + limit:
                        found.append(shown)
    return found, total


def _may_hold(row: dict[str, Any], words: str, inside_json: str) -> bool:
    """A quick look at the stored texts, before their JSON is decoded."""
    texts = ((name, value) for name, value in row.items() if isinstance(value, str) and name != EXTRA)
    return any((words if name in PLAIN else inside_json) in (low := value.lower()) or "\\" in low for name, value in texts)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, read in small pieces; what Arrow kept for later is given back, as the web process must stay small."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1024**2) as file:
            yield file
    finally:
        pa.default_memory_pool().release_unused()


def holds(value: Any, words: str) -> bool:
    """Whether any text the row shows (not the names of its keys or roles) holds the lower-case words."""
    if isinstance(value, str):
        return words in value.lower()
    if isinstance(value, dict):
        return any(holds(item, words) for key, item in value.items() if key not in {"role", "line"})
    return isinstance(value, list) and any(holds(item, words) for item in value)


def decode(row: dict[str, Any]) -> dict[str, Any]:
    kept = ((name, value) for name, value in row.items() if name != EXTRA)
    return {name: value if name in PLAIN or value is None else _loaded(value) for name, value in kept}


def _loaded(text: str) -> Any:
    """JSON we have written ourselves; the slow way knows numbers of any size."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)
