"""Let workers take from a paused queue again."""

from __future__ import annotations

from django.db import transaction

from accounts.models import User
from finetune.core.errors import Conflict
from training.models import QueuePause
from training.operators import note_waiting, refuse_others
from training.services.reconcile_jobs import wake_waiting


def open_queue(*, by: User, executor: str = "local") -> None:
    """End the pause and wake the workers. Forbidden for people who are no operators; Conflict when it is not paused."""
    refuse_others(by, "open a queue")
    gone, _ = QueuePause.objects.filter(executor=executor).delete()
    if not gone:
        raise Conflict("This queue is not paused.", code="queue_open")
    note_waiting(executor, f"{by.username} opened the queue again.")
    transaction.on_commit(wake_waiting, robust=True)
