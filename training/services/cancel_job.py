"""Stop a job and keep its checkpoint."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict
from training.lifecycle import move_job
from training.models import TrainingJob

Status = TrainingJob.Status


def cancel_job(*, job: TrainingJob) -> TrainingJob:
    """Take a waiting job out of the queue, or ask a running one to stop after its current step.

    Does nothing when it is stopping or was cancelled already. Conflict for a draft and for a job that has ended.
    """
    if move_job(job, Status.CANCELLED, when=Status.QUEUED, reason="Cancelled before it started.", finished_at=timezone.now()):
        return job
    if move_job(job, Status.CANCELLING, when=Status.RUNNING, reason="Cancel was asked for: stopping after the current step."):
        return job
    if job.status in (Status.CANCELLING, Status.CANCELLED):
        return job
    if job.status == Status.QUEUED:  # it was given back to the queue between the two moves
        return cancel_job(job=job)
    words = "has not been started" if job.status == Status.DRAFT else f"has already ended ({job.status})"
    raise Conflict(f"This job {words}; there is nothing to cancel.", code=f"job_{job.status}")
