"""The same thing done to several items at once, in a few threads that stay: for work that waits for a network."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

THREADS = 4
BEAT_SECONDS = 1.0
Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(act: Callable[[Item], Result], items: Iterable[Item], beat: Callable[[], None] | None = None) -> list[Result]:
    """`act` of each item, in their order. `beat` is called by the caller's own thread once a second until all are done.

    The first error ends it: what has not begun is left out, what has begun is waited for. `act` must not touch the database.
    """
    waiting = [_threads(os.getpid()).submit(act, item) for item in items]
    try:
        open_ones = set(waiting)
        while open_ones:
            done, open_ones = wait(open_ones, BEAT_SECONDS, FIRST_EXCEPTION)
            for each in done:
                each.result()
            if beat and open_ones:
                beat()
    finally:
        for each in waiting:
            each.cancel()
        wait(waiting)
    return [each.result() for each in waiting]


@functools.cache
def _threads(pid: int) -> ThreadPoolExecutor:
    """This process's own: threads don't survive a fork."""
    return ThreadPoolExecutor(THREADS, f"store-{pid}")
