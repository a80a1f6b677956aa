"""Put a waiting job before all others."""

from __future__ import annotations

from django.utils import timezone

from accounts.models import User
from finetune.core.errors import Conflict
from training import event_log
from training.event_log import Entry
from training.models import JobEvent, TrainingJob
from training.operators import refuse_others


def move_up_job(*, job: TrainingJob, by: User) -> TrainingJob:
    """The job is next, before those moved up earlier; only interrupted jobs go on before it, and its owner's limit still counts.

    Forbidden for people who are no operators; Conflict when it doesn't wait.
    """
    refuse_others(by, "move a job up")
    entry = Entry(JobEvent.Kind.LOG, {"level": "info", "text": f"{by.username} moved this job to the front of the queue."})
    moved = event_log.append(TrainingJob.objects.waiting().filter(pk=job.pk), [entry], moved_up_at=timezone.now())
    job.refresh_from_db()
    if moved is None:
        raise Conflict(f"Only a waiting job can be moved up; this one is {job.status}.", code=f"job_{job.status}")
    return job
