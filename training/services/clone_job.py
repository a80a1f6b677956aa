"""A draft like another job."""

from __future__ import annotations

from training.models import TrainingJob


def clone_job(*, job: TrainingJob) -> TrainingJob:
    """A new draft of the same owner with the same model, dataset, method and config. Any state will do."""
    copy = job.alike(name=f"{job.name[:193]} (copy)")
    copy.save()
    return copy
