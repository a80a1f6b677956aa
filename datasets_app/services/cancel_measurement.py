"""Stop counting tokens."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from datasets_app.announce import announce
from datasets_app.models import Measurement
from finetune.core.errors import Conflict

S = Measurement.Status


def cancel_measurement(*, measurement: Measurement) -> Measurement:
    """The worker stops within a batch of rows; asking again begins anew. Conflict when it has ended already."""
    if not measurement.move(S.CANCELLED, when=(S.QUEUED, S.RUNNING), progress=None, updated_at=timezone.now()):
        raise Conflict(f"Counting has ended already ({measurement.status}).")
    transaction.on_commit(partial(announce, measurement.dataset_id))
    return measurement
