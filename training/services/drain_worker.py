"""Let a worker finish what it follows and take nothing new."""

from __future__ import annotations

from accounts.models import User
from finetune.core.errors import Conflict, invalid_field
from training.device_reports import workers
from training.models import DrainedWorker, TrainingJob
from training.operators import note, refuse_others


def drain_worker(*, name: str, by: User) -> DrainedWorker:
    """Drain the worker of this Celery node name (train@host), until `admit_worker`; it stays drained over restarts.

    Forbidden for people who are no operators; Invalid when no such worker reports; Conflict when it is drained already.
    """
    refuse_others(by, "drain a worker")
    found = next((row for row in workers() if row["worker"] == name), None)
    if found is None:
        raise invalid_field("worker", f"There is no worker {name!r} now. Those that report are on the queue's page.")
    row, made = DrainedWorker.objects.get_or_create(name=name, defaults={"drained_by": by})
    if not made:
        raise Conflict(f"{name} is drained already.", code="worker_drained")
    for pk in (
        TrainingJob.objects.running()
        .filter(lease_owner__startswith=f"{found['machine']}|{found['pid']}|")
        .values_list("pk", flat=True)
    ):
        note(pk, f"{by.username} drains the worker {name}. This run is not disturbed.")
    return row
