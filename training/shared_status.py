"""One look at a job's status for everybody in this process who watches it: five hundred watchers are rung at the same moment."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async

from training.api.serializers import job_status
from training.models import TrainingJob

MOST_KEPT = 1000  # jobs that are watched, or were


@dataclass(frozen=True)
class Seen:
    """A job's owner, its status object, and the message that tells it."""

    owner_id: int
    status: dict[str, Any]
    text: str


_looks: WeakKeyDictionary[Any, dict[int, tuple[float, asyncio.Task[Seen | None]]]] = WeakKeyDictionary()


async def seen_since(job_id: int, moment: float) -> Seen | None:
    """The job as it was at `moment` (time.monotonic) or later; None when there is none any more."""
    looks = _looks.setdefault(asyncio.get_running_loop(), {})
    begun, look = looks.get(job_id, (0.0, None))
    if look is None or begun < moment:
        if len(looks) > MOST_KEPT:
            looks.clear()
        look = asyncio.ensure_future(_look(job_id))
        looks[job_id] = time.monotonic(), look
    return await asyncio.shield(look)  # one watcher who leaves takes it from nobody


@database_sync_to_async
def _look(job_id: int) -> Seen | None:
    job = TrainingJob.objects.filter(pk=job_id).first()
    if job is None:
        return None
    status = job_status(job)
    return Seen(job.owner_id, status, json.dumps({"type": "status", "job": status}))
