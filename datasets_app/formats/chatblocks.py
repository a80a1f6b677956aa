"""The quick way for the usual large file: JSON Lines whose rows are {"messages": [{"role", "content"}, …]} and nothing else.

Arrow parses and checks whole blocks of lines; what is stored is the text of the list as the file has it. A line that is in any way
unusual (another key, a broken line, an odd conversation) is handed back, to be read the exact way, so both ways find the same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from datasets_app.formats.source import DAMAGED, MAX_ROW_BYTES, Source

BLOCK = 2 * 1024**2
AHEAD = 2  # blocks parsed at the same time; Arrow works without Python's lock
FEWEST = 32  # lines that are not worth another try
END: Any = object()
ROLES = ("system", "user", "assistant", "tool")
_PREFIX = re.compile(rb'\{\s*"messages"\s*:\s*(?=\[)')
_SUFFIX = re.compile(rb"\]([ \t]*\}[ \t]*\r?\n?)\Z")


@dataclass(frozen=True)
class Checked:
    """What became of some lines: `messages` (Arrow strings) and `keys` (equal for equal rows) of the good ones, whose numbers are
    `lines`; `others` are (number, bytes) of those to be read the exact way."""

    lines: Any
    messages: Any
    keys: Any
    others: list[tuple[int, bytes | None]]
    count: int = 0  # lines in all

    def after(self, before: int) -> Checked:
        """The same with so many lines before it."""
        import pyarrow.compute as pc

        others = [(number + before, raw) for number, raw in self.others]
        return replace(self, lines=pc.add(self.lines, before), others=others) if before else self


def blocks_of(source: Source, limit: int = MAX_ROW_BYTES) -> Iterator[bytes | None]:
    """The file in blocks of whole lines; None for a line that is longer than `limit`, which is passed over."""
    source.first()
    stream: Any = source.stream
    for piece in _pieces(stream):
        try:
            tail = b"" if piece.endswith(b"\n") else stream.readline(limit)
        except DAMAGED:
            yield piece
            raise
        if tail.endswith(b"\n") or len(tail) < limit:
            yield piece + tail if tail else piece
            continue
        whole = piece.rfind(b"\n") + 1
        if whole:
            yield piece[:whole]
        while tail and not tail.endswith(b"\n"):
            tail = stream.readline(limit)
        yield None


def _pieces(stream: Any) -> Iterator[bytes]:
    """About BLOCK bytes at a time; where compressed data breaks, first what could be unpacked before."""
    while True:
        parts, size = [], 0
        try:
            while size < BLOCK and (part := stream.read1(BLOCK - size)):
                parts.append(part)
                size += len(part)
        except DAMAGED:
            if parts:
                yield b"".join(parts)
            raise
        if not parts:
            return
        yield parts[0] if len(parts) == 1 else b"".join(parts)


def checked_blocks(source: Source) -> Iterator[Checked]:
    """Every line of the file in order, checked; lines are numbered from 1."""
    waiting: deque[Future[Checked]] = deque()
    before = 0
    with ThreadPoolExecutor(AHEAD) as pool:
        blocks, broken = blocks_of(source), None
        while True:
            try:
                body = next(blocks, END)
            except DAMAGED as error:
                body, broken = END, error
            if body is not END:
                waiting.append(pool.submit(check, body))
            while waiting and (body is END or len(waiting) > AHEAD):
                done = waiting.popleft().result()
                yield done.after(before)
                before += done.count
            if body is END:
                break
        if broken:
            raise broken


def check(body: bytes | None) -> Checked:
    """The good rows of a block, and the lines that need the exact way, numbered from 1."""
    import numpy as np
    import pyarrow as pa

    if body is None:
        return _nothing([(1, None)], 1)
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == 10) + 1
    if not body.endswith(b"\n"):
        ends = np.append(ends, len(body))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    array = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(body)])
    numbers = np.arange(1, len(ends) + 1, dtype=np.int64)
    prefix, suffix = _PREFIX.match(body), _SUFFIX.search(body[: ends[0]])
    if prefix is None or suffix is None:
        return _nothing(_listed(numbers, array), len(ends))
    return _merged(_check(numbers, array, prefix.group(), suffix.group(1)), len(ends))


def _check(numbers: Any, array: Any, prefix: bytes, suffix: bytes) -> list[Checked]:
    """Parse these lines at once; where that fails, in halves."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    shaped = pc.and_(pc.starts_with(array, prefix), pc.ends_with(array, b"]" + suffix)).to_numpy(zero_copy_only=False)
    good, others = array, []
    if not shaped.all():
        others = _listed(numbers[~shaped], array.filter(pa.array(~shaped)))
        good, numbers = array.filter(pa.array(shaped)), numbers[shaped]
    if not len(good):
        return [_nothing(others)]
    turns = _parsed(good)
    if turns is None and len(good) <= FEWEST:
        return [_nothing(sorted(others + _listed(numbers, good)))]
    if turns is None:
        half = len(good) // 2
        parts = _check(numbers[:half], good.slice(0, half), prefix, suffix) + _check(
            numbers[half:], good.slice(half), prefix, suffix
        )
        return [_nothing(others), *parts]
    fine = _usual(turns)
    if not fine.all():
        others = sorted(others + _listed(numbers[~fine], good.filter(pa.array(~fine))))
        kept = pa.array(fine)
        good, numbers, turns = good.filter(kept), numbers[fine], turns.filter(kept)
    text = pc.binary_slice(good, len(prefix), -len(suffix)).cast(pa.string())
    return [Checked(pa.array(numbers), text, _keys(turns) if len(turns) else np.empty(0, np.uint64), others)]


def _parsed(array: Any) -> Any:
    """The `messages` of these lines as Arrow lists; None when a line is anything but that."""
    import pyarrow as pa
    import pyarrow.json as pj

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    options = pj.ParseOptions(explicit_schema=pa.schema([("messages", pa.list_(turn))]), unexpected_field_behavior="error")
    offsets, data = array.buffers()[1:]
    start, stop = (memoryview(offsets).cast("i")[at] for at in (array.offset, array.offset + len(array)))
    body = data.slice(start, stop - start)
    try:
        array.cast(pa.string())  # Arrow's JSON reader does not look whether all of it is UTF-8
        read = pj.ReadOptions(use_threads=False, block_size=max(len(body) + 1, 1024))
        turns = pj.read_json(pa.BufferReader(body), read, options).column("messages").combine_chunks()
    except pa.ArrowInvalid:
        return None
    return turns if len(turns) == len(array) and turns.null_count == 0 else None


def _usual(turns: Any) -> Any:
    """Which conversations have nothing to be said about: a system turn at most at the beginning, user and assistant by turns, an answer
    at the end, text in every turn."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = turns.flatten()
    roles = pc.index_in(values.field("role"), pa.array(ROLES)).fill_null(-1).to_numpy(zero_copy_only=False)
    content = values.field("content")
    blank = pc.or_(pc.equal(pc.binary_length(content), 0), pc.utf8_is_space(content)).fill_null(True).to_numpy(zero_copy_only=False)
    sizes = pc.list_value_length(turns).to_numpy(zero_copy_only=False)
    stops = np.cumsum(sizes)
    starts = stops - sizes
    first = np.zeros(len(roles), bool)
    first[starts[sizes > 0]] = True
    before = np.concatenate([[-1], roles[:-1]])
    system, _, assistant, tool = range(len(ROLES))
    odd = blank | (roles < 0) | (roles == tool) | ((roles == system) & ~first) | ((roles == before) & ~first)
    total = np.concatenate([[0], np.cumsum(odd)])
    fine = (sizes > 0) & (total[stops] == total[starts])
    last = roles[np.maximum(stops - 1, 0)] if len(roles) else np.full(len(sizes), -1)
    return fine & (last == assistant)


def _keys(turns: Any) -> Any:
    """One number for each conversation, the same for the same turns however they are written."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    values = turns.flatten()
    lengths = pc.list_value_length(turns).to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
    spoken = [pc.binary_join(pa.ListArray.from_arrays(offsets, values.field(name)), "\x00") for name in ("role", "content")]
    return _mixed(*(pl.from_arrow(texts).hash().to_numpy() for texts in spoken))  # type: ignore[union-attr]


def key_of(messages: list[dict[str, Any]]) -> int | None:
    """The same number for a conversation that was read the exact way; None for one that can't have come the quick way."""
    import polars as pl

    if not all(message.keys() == {"role", "content"} for message in messages):
        return None
    role, content = ("\x00".join(message[name] for message in messages) for name in ("role", "content"))
    return int(_mixed(pl.Series([role]).hash().to_numpy(), pl.Series([content]).hash().to_numpy())[0])


def _mixed(roles: Any, contents: Any) -> Any:
    import numpy as np

    return contents ^ (roles * np.uint64(0x9E3779B97F4A7C15))


def _listed(numbers: Any, array: Any) -> list[tuple[int, bytes | None]]:
    return list(zip(numbers.tolist(), array.to_pylist(), strict=True))


def _nothing(others: list[tuple[int, bytes | None]], count: int = 0) -> Checked:
    import numpy as np
    import pyarrow as pa

    return Checked(pa.array([], pa.int64()), pa.array([], pa.string()), np.empty(0, np.uint64), others, count)


def _merged(parts: list[Checked], count: int) -> Checked:
    import numpy as np
    import pyarrow as pa

    if len(parts) == 1:
        return replace(parts[0], count=count)
    return Checked(
        pa.concat_arrays([part.lines for part in parts]),
        pa.concat_arrays([part.messages for part in parts]),
        np.concatenate([part.keys for part in parts]),
        sorted(other for part in parts for other in part.others),
        count,
    )
