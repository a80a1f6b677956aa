"""Whole blocks of lines at once, in other threads: what is checked there is given back in the file's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_app.formats.source import DAMAGED, MAX_ROW_BYTES, Source

BLOCK = 2 * 1024**2
AHEAD = 2  # blocks looked at at the same time; Arrow works without Python's lock
END: Any = object()


@dataclass(frozen=True)
class Checked:
    """What became of some lines. `lines` are the numbers of the good ones, `columns` what is stored of them (Arrow strings by
    name); `others` are (number, bytes) of those to be read the exact way."""

    lines: Any
    columns: dict[str, Any]
    others: list[tuple[int, bytes | None]]
    count: int = 0  # lines in all
    empty: dict[str, int] = field(default_factory=dict)  # column of the file → good rows that have nothing there

    def after(self, before: int) -> Checked:
        """The same with so many lines before it."""
        import pyarrow.compute as pc

        others = [(number + before, raw) for number, raw in self.others]
        return replace(self, lines=pc.add(self.lines, before), others=others) if before else self


def nothing(others: list[tuple[int, bytes | None]], count: int) -> Checked:
    """No good line at all."""
    import pyarrow as pa

    return Checked(pa.array([], pa.int64()), {}, others, count)


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


def checked_blocks(source: Source, check: Callable[[bytes | None], Checked]) -> Iterator[Checked]:
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
