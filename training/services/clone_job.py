"""A draft like another job."""

from __future__ import annotations

from training.models import TrainingJob


def clone_job(*, job: TrainingJob) -> TrainingJob:
    """A new draft of the same owner with the same model, dataset, method and config. Any state will do."""
    return TrainingJob.objects.create(
        owner=job.owner,
        name=f"{job.name[:193]} (copy)",
        model=job.model,
        dataset=job.dataset,
        method=job.method,
        executor=job.executor,
        train_split=job.train_split,
        eval_split=job.eval_split,
        config=job.config,
    )
