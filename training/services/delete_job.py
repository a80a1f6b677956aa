"""Remove a job, its events and its run directories."""

from __future__ import annotations

import functools

from django.db import transaction

from finetune.core import storage
from finetune.core.errors import Conflict
from training.models import TrainingJob
from training.services.forget_jobs import forget_deleted


def delete_job(*, job: TrainingJob) -> None:
    """Delete the job with everything it wrote, at its provider too; the model version it made stays. Conflict while it waits or runs."""
    with transaction.atomic():
        # The update locks the row, so that nobody can start the job between the check and the delete.
        idle = TrainingJob.objects.filter(pk=job.pk).exclude(status__in=TrainingJob.ACTIVE).update(lease_owner="")
        if not idle:
            raise Conflict("This job is still active. Cancel it first, then delete it.", code="job_active")
        directory = storage.job_dir(job.pk)
        forget_deleted(job)
        job.delete()
        transaction.on_commit(functools.partial(storage.remove_tree, directory))
