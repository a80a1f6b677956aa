"""Take nothing new from a queue."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.models import User
from finetune.core.errors import Conflict, invalid_field
from training.executors import EXECUTORS
from training.models import QueuePause
from training.operators import note_waiting, refuse_others

REASON_LENGTH = 300


def pause_queue(*, by: User, executor: str = "local", reason: str = "") -> QueuePause:
    """Pause the queue until `open_queue`: what runs goes on, what waits keeps its place and is told why.

    Forbidden for people who are no operators; Invalid for an unknown executor or a reason over 300 characters; Conflict when
    it is paused already.
    """
    refuse_others(by, "pause a queue")
    if executor not in EXECUTORS:
        raise invalid_field("executor", f"Choose from: {', '.join(EXECUTORS)}.")
    reason = reason.strip()
    if len(reason) > REASON_LENGTH:
        raise invalid_field("reason", f"At most {REASON_LENGTH} characters.")
    try:
        with transaction.atomic():
            pause = QueuePause.objects.create(executor=executor, reason=reason, paused_by=by)
    except IntegrityError:
        raise Conflict("This queue is paused already.", code="queue_paused") from None
    note_waiting(
        executor, f"{by.username} paused the queue{': ' + reason.rstrip('.') if reason else ''}. This job keeps its place."
    )
    return pause
