"""What the owner of a job is told about its end and its money."""

from __future__ import annotations

from accounts.notice_models import Notification
from accounts.services.notify import notify
from training.models import TrainingJob

Kind, Status = Notification.Kind, TrainingJob.Status
TOLD = {Status.SUCCEEDED: (Kind.JOB_SUCCEEDED, "succeeded"), Status.FAILED: (Kind.JOB_FAILED, "failed")}


def tell_budget(job: TrainingJob, text: str, *, used_up: bool) -> None:
    """A notification that the job's money comes to its end, or has."""
    kind, words = (Kind.BUDGET_USED_UP, "used up") if used_up else (Kind.BUDGET_WARNING, "nearly used up")
    notify(user=job.owner, kind=kind, title=f"The budget of “{job.name}” is {words}", text=text, path=f"/training/{job.pk}")


def tell_owner(job: TrainingJob, status: str, reason: str) -> None:
    """A notification that the job succeeded or failed. Who cancelled it knows that."""
    if status in TOLD:
        kind, word = TOLD[Status(status)]
        notify(user=job.owner, kind=kind, title=f"“{job.name}” {word}", text=reason, path=f"/training/{job.pk}")
