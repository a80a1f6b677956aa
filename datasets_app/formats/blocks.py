"""Whole blocks of lines at once, in other threads: what is checked there is given back in the file's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_app.formats.source import DAMAGED, MAX_ROW_BYTES, Source

BLOCK = 2 * 1024**2
TAIL = 16 * 1024
AHEAD = 2  # blocks looked at at the same time; Arrow works without Python's lock
END: Any = object()
Block = bytes | memoryview


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


def blocks_of(source: Source, limit: int = MAX_ROW_BYTES) -> Iterator[Block | None]:
    """The file in blocks of whole lines; None for a line that is longer than `limit`, which is passed over."""
    source.first()
    rest: Block = b""
    while True:
        block, broken = _filled(source.stream, rest)
        ended = len(block) == len(rest)
        whole = len(block) if ended or broken else _behind_last_newline(block)
        if whole:
            yield block[:whole]
        if broken:
            raise broken
        if ended:
            return
        rest = block[whole:]
        if len(rest) > limit:
            _pass_over(source.stream)
            rest = b""
            yield None


def _filled(stream: Any, rest: Block) -> tuple[Block, Exception | None]:
    """About BLOCK bytes behind the rest of those before; where compressed data breaks, what could be unpacked."""
    import numpy as np

    room, at = memoryview(np.empty(len(rest) + BLOCK, np.uint8)), len(rest)  # type: ignore[arg-type]
    room[:at] = rest
    try:
        while at < len(room) and (size := stream.readinto1(room[at:])):
            at += size
    except DAMAGED as error:
        return room[:at], error
    return room[:at], None


def _behind_last_newline(block: Block) -> int:
    for size in (min(TAIL, len(block)), len(block)):
        if end := bytes(block[len(block) - size :]).rfind(b"\n") + 1:
            return len(block) - size + end
    return 0


def _pass_over(stream: Any) -> None:
    """Read on to the end of the line."""
    while (piece := stream.readline(BLOCK)) and not piece.endswith(b"\n"):
        pass


def checked_blocks(source: Source, check: Callable[[Block | None], Checked]) -> Iterator[Checked]:
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
