"""What the owner of a job is told about its end."""

from __future__ import annotations

from accounts.notice_models import Notification
from accounts.services.notify import notify
from training.models import TrainingJob

Kind, Status = Notification.Kind, TrainingJob.Status
TOLD = {Status.SUCCEEDED: (Kind.JOB_SUCCEEDED, "succeeded"), Status.FAILED: (Kind.JOB_FAILED, "failed")}


def tell_owner(job: TrainingJob, status: str, reason: str) -> None:
    """A notification that the job succeeded or failed. Who cancelled it knows that."""
    if status in TOLD:
        kind, word = TOLD[Status(status)]
        notify(user=job.owner, kind=kind, title=f"“{job.name}” {word}", text=reason, path=f"/training/{job.pk}")
