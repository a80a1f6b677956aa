"""The training workers and what they follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from training.device_reports import workers
from training.models import DrainedWorker, TrainingJob
from training.operators import refuse_others


@dataclass(frozen=True)
class Worker:
    """A Celery node of the `train` queue: its slots, the ids of the jobs it follows, whether it takes new ones, and whether it reports."""

    name: str
    machine: str
    slots: int
    jobs: list[int]
    drained: bool
    reports: bool


def list_workers(*, by: User) -> list[Worker]:
    """Those that report now, and drained ones that don't. Forbidden for people who are no operators."""
    refuse_others(by, "see the workers")
    drained = set(DrainedWorker.objects.values_list("name", flat=True))
    holders = list(TrainingJob.objects.running().exclude(lease_owner="").values_list("pk", "lease_owner"))
    found = [_worker(row, holders, drained) for row in workers()]
    gone = sorted(drained - {worker.name for worker in found})
    return [*found, *(Worker(name, "", 0, [], drained=True, reports=False) for name in gone)]


def _worker(row: dict[str, Any], holders: list[tuple[int, str]], drained: set[str]) -> Worker:
    mine = f"{row['machine']}|{row['pid']}|"
    jobs = sorted(pk for pk, owner in holders if owner.startswith(mine))
    return Worker(row["worker"], row["machine"], len(row.get("slots", [])), jobs, row["worker"] in drained, reports=True)
