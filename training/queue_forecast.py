"""When waiting jobs will probably start: the queue played through with what is known of each job's length. No I/O."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """A job's need: how many slots at once, for how many seconds (None: nobody knows)."""

    slots: int
    seconds: float | None


def starts(running: Sequence[Work], waiting: Sequence[Work], slots: int) -> list[float | None]:
    """Seconds from now until each waiting job starts, taken strictly in this order; None once it depends on an unknown length."""
    if slots < 1:
        return [None] * len(waiting)
    free = [0.0] * max(0, slots - sum(job.slots for job in running))
    unknown = float("inf")
    free += [unknown if job.seconds is None else max(0.0, job.seconds) for job in running for _ in range(job.slots)]
    free = sorted(free)[:slots]
    heapq.heapify(free)
    found: list[float | None] = []
    earliest = 0.0
    for job in waiting:
        taken = [heapq.heappop(free) for _ in range(min(job.slots, slots))]
        earliest = max(earliest, taken[-1])  # nobody overtakes
        found.append(None if earliest == unknown else earliest)
        end = unknown if job.seconds is None else earliest + job.seconds
        for _ in taken:
            heapq.heappush(free, end)
    return found


def seconds_left(status: str, progress: dict[str, Any], estimate: dict[str, Any] | None) -> float | None:
    """What a running or waiting job still needs: the ETA of its own speed, else the middle of what was foreseen."""
    eta = progress.get("eta_seconds")
    if status != "queued" and eta is not None:
        return float(eta)
    foreseen = (estimate or {}).get("duration_seconds") or {}
    if foreseen.get("low") is None or foreseen.get("high") is None:
        return None
    done = float(progress.get("fraction") or 0.0)
    return float((foreseen["low"] + foreseen["high"]) / 2) * (1.0 - done)
