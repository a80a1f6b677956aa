"""Dividing rows: the same seed and rows give the same split on every machine, and what belongs together stays together.

A row's place is decided by a hash of its group and the seed, never by a random number generator or the order of a dict.
Rows of one group (the same prompt, or the same value of a column) never stand in two splits.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets_app.formats.problemindex import members_of

NAMES = ("train", "validation", "test")
UNUSED = "unused"
BATCH = 500  # rows read at once
ROWS_A_GROUP, BYTES_A_GROUP, READ_BUFFER = 10_000, 2 * 1024**2, 1024**2
OnRow = Callable[[], None]
PROMPT, ROW = "prompt", "row"  # what a group is when no column is named


class SplitError(ValueError):
    """These rows can't be divided like that; `name` is the part of the wish at fault."""

    def __init__(self, name: str, message: str):
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How to divide: fractions of the rows, or counts of rows."""

    train: float
    validation: float = 0
    test: float = 0
    seed: int = 42
    shuffle: bool = True
    stratify_by: str = ""
    group_by: str = ""

    def targets(self, rows: int) -> dict[str, int]:
        """Rows wanted in each split that is wanted; SplitError when that can't be."""
        sizes = {name: getattr(self, name) for name in NAMES}
        for name, size in sizes.items():
            if size < 0:
                raise SplitError(name, "Must be 0 or more.")
        if all(size <= 1 for size in sizes.values()):
            return _of_fractions(sizes, rows)
        for name, size in sizes.items():
            if size != int(size):
                raise SplitError(name, "Give fractions (at most 1 each) or counts of rows, not both.")
        if sum(sizes.values()) > rows:
            raise SplitError("train", f"The splits ask for {int(sum(sizes.values())):,} rows; there are {rows:,}.")
        return _no_empty({name: int(size) for name, size in sizes.items() if size}, rows)


def _of_fractions(sizes: dict[str, float], rows: int) -> dict[str, int]:
    total = sum(sizes.values())
    if total > 1 + 1e-9:
        raise SplitError("train", f"The fractions add up to {total:g}; they can be 1 at most.")
    wanted = {name: max(1, round(rows * size)) for name, size in sizes.items() if size and name != "train"}
    if sizes["train"]:
        rest = rows - sum(wanted.values())
        wanted["train"] = rest if total > 1 - 1e-9 else min(rest, round(rows * sizes["train"]))
    return _no_empty({name: wanted[name] for name in NAMES if name in wanted}, rows)


def _no_empty(wanted: dict[str, int], rows: int) -> dict[str, int]:
    if not wanted.get("train"):
        raise SplitError("train", f"No row of {rows:,} would be left to learn from.")
    return wanted


@dataclass
class Division:
    """Which split each row is in (`names[code]`), and what is worth saying about it."""

    codes: list[int]
    names: list[str]
    grouped: str
    groups: int
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, row: int) -> str:
        return self.names[self.codes[row]]


def divide(rows_file: Path, wish: Wish, on_row: OnRow = lambda: None) -> Division:
    """The split of every row of a normalised file. SplitError when the rows can't be divided as wished. `on_row` is called for
    each row that is behind us; it may raise."""
    keys, strata = _read_keys(rows_file, wish, on_row)
    targets = wish.targets(len(keys))
    grouped = wish.group_by or PROMPT
    if not wish.group_by and len(targets) > 1:
        keys, grouped = _usable_groups(keys, rows_file, targets)
    groups = _Groups(keys, strata, wish)
    if len(groups.sizes) < len(targets):
        words = f"There are {len(groups.sizes):,} groups that must stay together, too few for {len(targets)} splits."
        raise SplitError("group_by" if wish.group_by else "train", words)
    placed = _place(groups, targets, everything=sum(targets.values()) == len(keys), shuffled=wish.shuffle)
    names = [*targets, UNUSED]
    codes = [names.index(placed[number]) for number in groups.of_row]
    counted = Counter(codes)
    counts = {name: counted[code] for code, name in enumerate(names) if counted[code]}
    return Division(codes, names, grouped, len(groups.sizes), counts)


def _usable_groups(keys: list[bytes], rows_file: Path, targets: dict[str, int]) -> tuple[list[bytes], str]:
    """Groups of the same prompt; of wholly equal rows where one prompt is in so many rows that nothing could be divided."""
    largest = max(Counter(keys).values(), default=0)
    if largest <= max(targets.values()):
        return keys, PROMPT
    return [digest(text) for row in _rows(rows_file) for text in [whole_text(row)]], ROW


class _Groups:
    """Rows that must stay together, in the order in which they are dealt out."""

    def __init__(self, keys: list[bytes], strata: list[str], wish: Wish):
        numbers: dict[bytes, int] = {}
        self.of_row = [numbers.setdefault(key, len(numbers)) for key in keys]
        self.sizes = [0] * len(numbers)
        self.stratum = [""] * len(numbers)
        for row, number in enumerate(self.of_row):
            if not self.sizes[number]:
                self.stratum[number] = strata[row] if strata else ""
            self.sizes[number] += 1
        places = {number: _place_of(key, wish.seed) for key, number in numbers.items()}
        self.order = sorted(places, key=places.__getitem__) if wish.shuffle else list(range(len(numbers)))


def _place_of(key: bytes, seed: int) -> bytes:
    return hashlib.blake2b(str(seed).encode() + b":" + key, digest_size=16).digest()


def _place(groups: _Groups, targets: dict[str, int], *, everything: bool, shuffled: bool) -> list[str]:
    """The split of each group. Small splits are filled first, so that they get their size whatever the groups are."""
    placed = [""] * len(groups.sizes)
    order = ("test", "validation", "train") if shuffled else NAMES
    for stratum, wanted in _by_stratum(groups, targets).items():
        queue = [number for number in groups.order if groups.stratum[number] == stratum]
        for name in order:
            _fill(queue, placed, groups.sizes, name, wanted.get(name, 0))
    _no_split_empty(groups, placed, targets)
    rest = "train" if everything else UNUSED
    return [name or rest for name in placed]


def _fill(queue: list[int], placed: list[str], sizes: list[int], name: str, room: int) -> None:
    for number in queue:
        if room <= 0:
            return
        if not placed[number] and sizes[number] <= room:
            placed[number] = name
            room -= sizes[number]


def _no_split_empty(groups: _Groups, placed: list[str], targets: dict[str, int]) -> None:
    """A split that no group fits into gets the smallest one that is left, or one of the split with most groups."""
    for name in targets:
        if name in placed:
            continue
        free = [number for number in groups.order if not placed[number]]
        if not free:
            counts = Counter(placed)
            largest = counts.most_common(1)[0][0]
            free = [number for number in groups.order if placed[number] == largest]
        placed[min(free, key=lambda number: groups.sizes[number])] = name


def _by_stratum(groups: _Groups, targets: dict[str, int]) -> dict[str, dict[str, int]]:
    """Each stratum's share of each split, by largest remainders, so that the shares add up to the targets."""
    rows: Counter[str] = Counter()
    for number, size in enumerate(groups.sizes):
        rows[groups.stratum[number]] += size
    total, shares = sum(rows.values()), {stratum: {} for stratum in sorted(rows)}  # type: ignore[var-annotated]
    for name, target in targets.items():
        exact = {stratum: target * rows[stratum] / total for stratum in shares}
        for stratum in shares:
            shares[stratum][name] = int(exact[stratum])
        missing = target - sum(share[name] for share in shares.values())
        by_remainder = sorted(shares, key=lambda stratum: (int(exact[stratum]) - exact[stratum], stratum))
        for stratum in by_remainder[:missing]:
            shares[stratum][name] += 1
    return shares


# --- what a row is known by ---------------------------------------------------------------------------------------------


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def plain(text: str) -> str:
    """Without differences that mean nothing: case and blanks."""
    return " ".join(text.split()).casefold()


def prompt_text(row: dict[str, Any]) -> str:
    """What a row asks, as one plain text: all turns before the last answer, without the system prompt."""
    if "text" in row:
        return plain(row["text"] or "")
    turns = row["prompt"] if row.get("prompt") is not None else _before_last_answer(row.get("messages") or [])
    asked = "\n".join(f"{turn['role']}: {turn.get('content') or ''}" for turn in turns if turn["role"] != "system")
    return plain(asked) or whole_text(row)


def answer_text(row: dict[str, Any]) -> str:
    """What a row teaches to say last, plain."""
    if "text" in row:
        return plain(row["text"] or "")
    turns = row.get("chosen") or row.get("completion") or row.get("messages") or []
    return plain(next((str(turn.get("content") or "") for turn in reversed(turns) if turn["role"] == "assistant"), ""))


def whole_text(row: dict[str, Any]) -> str:
    """All of a row, plain, without its line."""
    return plain(json.dumps({name: value for name, value in row.items() if name != "line"}, ensure_ascii=False, sort_keys=True))


def _before_last_answer(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=len(messages))
    return messages[:last]


def _read_keys(rows_file: Path, wish: Wish, on_row: OnRow) -> tuple[list[bytes], list[str]]:
    """The group of each row, and its stratum where one is wanted."""
    keys: list[bytes] = []
    strata: list[str] = []
    for row, extra in _rows_and_extras(rows_file):
        keys.append(digest(_column(row, extra, wish.group_by, "group_by")) if wish.group_by else digest(prompt_text(row)))
        if wish.stratify_by:
            strata.append(_column(row, extra, wish.stratify_by, "stratify_by"))
        on_row()
    return keys, strata


def _column(row: dict[str, Any], extra: dict[str, Any], column: str, field: str) -> str:
    if column in extra or column in row:
        return json.dumps(extra.get(column, row.get(column)), ensure_ascii=False, sort_keys=True)
    if column == "system":
        turns = row.get("messages") or row.get("prompt") or []
        return next((str(turn.get("content")) for turn in turns if turn["role"] == "system"), "")
    raise SplitError(field, f"A row (line {row['line']}) has no column “{column[:60]}”, or its value is no text or number.")


def _rows(rows_file: Path) -> Iterator[dict[str, Any]]:
    return (row for row, _ in _rows_and_extras(rows_file))


def _rows_and_extras(rows_file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    from datasets_app.formats.rowsfile import iterate_with_extras

    for batch in iterate_with_extras(rows_file):
        yield from batch


# --- on disk --------------------------------------------------------------------------------------------------------------


def write_splits(rows_file: Path, folder: Path, division: Division) -> None:
    """One Parquet file for each split, rows in their order, and beside it which of all rows they are. Memory holds some megabytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    _write_members(folder, division)
    names = [name for name in division.names if name in division.counts and name != UNUSED]
    parts: dict[str, _Part] = {}
    try:
        with pq.ParquetFile(rows_file, pre_buffer=False, buffer_size=READ_BUFFER) as file:
            parts = {name: _Part(folder / f"{name}.parquet", file.schema_arrow) for name in names}
            first = 0
            for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
                _deal(batch, division, first, parts)
                first += batch.num_rows
    finally:
        for part in parts.values():
            part.close()
        pa.default_memory_pool().release_unused()


def _write_members(folder: Path, division: Division) -> None:
    import numpy as np

    codes = np.asarray(division.codes, np.int8)
    for code, name in enumerate(division.names):
        if name in division.counts and name != UNUSED:
            np.flatnonzero(codes == code).astype(np.int64).tofile(members_of(folder / f"{name}.parquet"))


def _deal(batch: Any, division: Division, first: int, parts: dict[str, _Part]) -> None:
    """Runs of rows of one split go there as slices: making Arrow values of Python's would load pandas, 50 MB in the web process."""
    at = 0
    for code, run in groupby(division.codes[first : first + batch.num_rows]):
        length = sum(1 for _ in run)
        if part := parts.get(division.names[code]):
            part.add(batch.slice(at, length))
        at += length


class _Part:
    """The file of one split; a row group is written when it has enough rows or bytes."""

    def __init__(self, path: Path, schema: Any):
        import pyarrow.parquet as pq

        self.schema = schema
        self.writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.waiting: list[Any] = []
        self.rows = self.bytes = 0

    def add(self, batch: Any) -> None:
        self.waiting.append(batch)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes
        if self.rows >= ROWS_A_GROUP or self.bytes >= BYTES_A_GROUP:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self.waiting:
            self.writer.write_table(pa.Table.from_batches(self.waiting, schema=self.schema))
        self.waiting, self.rows, self.bytes = [], 0, 0

    def close(self) -> None:
        self.flush()
        self.writer.close()
