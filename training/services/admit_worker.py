"""Let a drained worker take jobs again."""

from __future__ import annotations

from django.db import transaction

from accounts.models import User
from finetune.core.errors import Conflict
from training.models import DrainedWorker
from training.operators import refuse_others
from training.services.reconcile_jobs import wake_waiting


def admit_worker(*, name: str, by: User) -> None:
    """End the draining of the worker of this name. Forbidden for people who are no operators; Conflict when it is not drained."""
    refuse_others(by, "admit a worker")
    gone, _ = DrainedWorker.objects.filter(name=name).delete()
    if not gone:
        raise Conflict(f"{name} is not drained.", code="worker_admitted")
    transaction.on_commit(wake_waiting, robust=True)
