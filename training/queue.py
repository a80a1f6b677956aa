"""Whose turn it is. One order for everything: what workers take, the positions on pages, the expected starts.

People take turns: next is whoever has waited longest since a job of theirs was taken, with the first of their own. So a hundred jobs
of one person don't stand before the one of another. Before turns count, in this order: whether a job ran already and was
interrupted, whether an operator moved it up, and its priority. Jobs beyond their owner's limit stand behind everybody.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, OuterRef, Subquery
from django.utils import timezone

from accounts.limits import running_limits
from accounts.models import User
from training.models import QueuePause, TrainingJob

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FAR_AHEAD = 1e12  # later than every moment, in seconds since 1970: taken in this very round


@dataclass(frozen=True)
class Waiting:
    """A waiting job, as much of it as its place depends on. `devices` is how many it wants at once."""

    pk: int
    owner_id: int
    interrupted: bool
    moved_up_at: datetime | None
    priority: int
    queued_at: datetime
    devices: int = 1


@dataclass(frozen=True)
class Share:
    """What a person has of the machines now. `limit` is how many of their jobs may run at once (0: any number)."""

    running: int = 0
    last_start: datetime = LONG_AGO
    limit: int = 0


@dataclass(frozen=True)
class Place:
    """A waiting job at its place; `held` when its owner's running jobs are as many as may be."""

    position: int
    job: Waiting
    held: bool


def queue(executor: str) -> list[Place]:
    """Every waiting job of this executor, the next one first. Four queries however many wait."""
    waiting = _waiting(executor)
    return in_order(waiting, _shares(executor, {job.owner_id for job in waiting})) if waiting else []


def positions(executor: str) -> dict[int, int]:
    """Job id → 1 for the one that runs next, counting everybody's."""
    return {place.job.pk: place.position for place in queue(executor)}


def with_positions(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
    """The jobs, with the `queue_position` of all of them looked up together."""
    found = list(jobs)
    executors = {job.executor for job in found if job.status == TrainingJob.Status.QUEUED}
    known = {name: positions(name) for name in executors}
    for job in found:
        job.position = known.get(job.executor, {}).get(job.pk)  # type: ignore[attr-defined]
    return found


def pause_of(executor: str) -> QueuePause | None:
    """Who paused this queue and why; None while it is open."""
    return QueuePause.objects.select_related("paused_by").filter(executor=executor).first()


def in_order(waiting: Iterable[Waiting], shares: dict[int, Share]) -> list[Place]:
    """The line these jobs stand in, from what their owners have: one is taken after the other, as workers do."""
    own: dict[int, deque[Waiting]] = {}
    for job in sorted(waiting, key=_among_own):
        own.setdefault(job.owner_id, deque()).append(job)
    last: dict[int, float] = {owner: shares.get(owner, Share()).last_start.timestamp() for owner in own}
    heads = [_head(jobs[0], last[owner]) for owner, jobs in own.items() if _may_run(shares, owner, 0)]
    heapq.heapify(heads)
    taken: list[Waiting] = []
    counted: Counter[int] = Counter()
    while heads:
        *_, owner = heapq.heappop(heads)
        taken.append(own[owner].popleft())
        counted[owner] += 1
        if own[owner] and _may_run(shares, owner, counted[owner]):
            heapq.heappush(heads, _head(own[owner][0], FAR_AHEAD + len(taken)))
    held = sorted((job for jobs in own.values() for job in jobs), key=_among_own)
    line = [(job, False) for job in taken] + [(job, True) for job in held]
    return [Place(number, job, is_held) for number, (job, is_held) in enumerate(line, start=1)]


def _may_run(shares: dict[int, Share], owner: int, more: int) -> bool:
    share = shares.get(owner, Share())
    return not share.limit or share.running + more < share.limit


def _head(job: Waiting, served: float) -> tuple[Any, ...]:
    """What a person's first job is compared by; `served` is when one of theirs was taken last."""
    return *_urgency(job), served, job.queued_at, job.pk, job.owner_id


def _urgency(job: Waiting) -> tuple[Any, ...]:
    """What comes before turns; the job moved up last is first."""
    moved = -job.moved_up_at.timestamp() if job.moved_up_at else 0.0
    return not job.interrupted, moved, -job.priority


def _among_own(job: Waiting) -> tuple[Any, ...]:
    return *_urgency(job), job.queued_at, job.pk


def _waiting(executor: str) -> list[Waiting]:
    names = ("pk", "owner_id", "interrupted", "moved_up_at", "priority", "queued_at", "config__num_gpus")
    rows = TrainingJob.objects.waiting().filter(executor=executor).order_by().values_list(*names)
    now = timezone.now()
    return [
        Waiting(pk, owner, interrupted, moved, priority, queued or now, int(devices or 1))
        for pk, owner, interrupted, moved, priority, queued, devices in rows
    ]


def _shares(executor: str, owners: set[int]) -> dict[int, Share]:
    running_jobs = TrainingJob.objects.running().filter(owner__in=owners, executor=executor)
    running = dict(running_jobs.order_by().values_list("owner").annotate(number=Count("pk")))
    # One look into an index for each person: the highest of a group would be found by reading all of their jobs.
    started = TrainingJob.objects.filter(owner=OuterRef("pk"), started_at__isnull=False).order_by("-started_at")
    last = dict(User.objects.filter(pk__in=owners).values_list("pk", Subquery(started.values("started_at")[:1])))
    own, everybody = running_limits(), settings.MAX_RUNNING_JOBS_PER_USER
    return {pk: Share(running.get(pk, 0), last.get(pk) or LONG_AGO, own.get(pk, everybody)) for pk in owners}
