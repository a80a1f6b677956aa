"""What runs, what waits in which order, and when it will probably start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from finetune.core.errors import invalid_field
from training import queue
from training.device_reports import workers
from training.executors import EXECUTORS
from training.models import DrainedWorker, QueuePause, TrainingJob
from training.queue_forecast import Work, seconds_left, starts

# Beyond these a place in the line says enough.
MOST_LINES = 500
COLUMNS = (
    "id",
    "name",
    "status",
    "phase",
    "owner__username",
    "executor",
    "progress",
    "estimate",
    "priority",
    "config",
    "queued_at",
    "started_at",
)


@dataclass(frozen=True)
class Line:
    """A job as this visitor may see it: `job` is None for somebody else's, unless an operator looks.

    `waits_for` is pause, limit, devices or turn; `expected_start` is None where it can't be told.
    """

    job: TrainingJob | None
    devices: int
    position: int | None = None
    expected_start: datetime | None = None
    waits_for: str = ""


@dataclass(frozen=True)
class Queue:
    """The queue of one executor. `slots` is how many jobs of one device can run at once."""

    executor: str
    slots: int
    pause: QueuePause | None
    running: list[Line]
    waiting: list[Line]
    waiting_total: int


def read_queue(*, user: User, executor: str = "local") -> Queue:
    """The running jobs and the first MOST_LINES waiting ones of everybody; Invalid for an executor that doesn't exist.

    The expected starts come from the running jobs' speed and the waiting ones' estimates; a pause, or a limit, makes them unknown.
    """
    if executor not in EXECUTORS:
        raise invalid_field("executor", f"Choose from: {', '.join(EXECUTORS)}.")
    places, pause, slots = queue.queue(executor), queue.pause_of(executor), usable_slots()
    jobs = _jobs(executor, [place.job.pk for place in places[:MOST_LINES]])
    running = [job for job in jobs.values() if job.status in TrainingJob.RUNNING]
    running.sort(key=lambda job: (job.started_at or timezone.now(), job.pk))
    waiting = [place for place in places[:MOST_LINES] if place.job.pk in jobs]
    begins = starts([_work(job) for job in running], [_work(jobs[place.job.pk]) for place in waiting], slots)
    busy = sum(job.devices_wanted for job in running)
    return Queue(
        executor,
        slots,
        pause,
        [Line(_shown(job, user), job.devices_wanted) for job in running],
        [_line(place, jobs[place.job.pk], begin, user, pause, slots - busy) for place, begin in zip(waiting, begins, strict=True)],
        len(places),
    )


def usable_slots() -> int:
    """Slots of all machines whose workers report and take new jobs; two workers of one machine share its devices."""
    drained = set(DrainedWorker.objects.values_list("name", flat=True))
    return len({(row["machine"], slot) for row in workers() if row["worker"] not in drained for slot in row.get("slots", [])})


def _jobs(executor: str, waiting: list[int]) -> dict[int, TrainingJob]:
    rows = TrainingJob.objects.filter(executor=executor).select_related("owner").order_by().only(*COLUMNS)
    return {job.pk: job for job in [*rows.running(), *rows.waiting().filter(pk__in=waiting)]}


def _work(job: TrainingJob) -> Work:
    return Work(job.devices_wanted, seconds_left(job.status, job.progress, job.estimate))


def _line(place: queue.Place, job: TrainingJob, begin: float | None, user: User, pause: Any, free: int) -> Line:
    waits = "pause" if pause else "limit" if place.held else "devices" if job.devices_wanted > max(free, 1) else "turn"
    known = begin is not None and waits not in ("pause", "limit")
    start = timezone.now() + timedelta(seconds=begin or 0) if known else None
    return Line(_shown(job, user), job.devices_wanted, place.position, start, waits)


def _shown(job: TrainingJob, user: User) -> TrainingJob | None:
    return job if user.is_staff or job.owner_id == user.pk else None
