"""Go on from the last checkpoint."""

from __future__ import annotations

from finetune.core.errors import Conflict
from training.models import TrainingJob
from training.refusals import refuse_unusable
from training.services.start_job import enqueue

Status = TrainingJob.Status


def resume_job(*, job: TrainingJob) -> TrainingJob:
    """Queue a failed or cancelled job for its next attempt, which continues from the newest whole checkpoint.

    Conflict in every other state; Invalid when its model or dataset is no longer usable.
    """
    if job.status in (Status.FAILED, Status.CANCELLED):
        splits = {"train_split": job.train_split, "eval_split": job.eval_split}
        refuse_unusable(method=job.method, model=job.model, dataset=job.dataset, **splits)
        again = {"finished_at": None, "error": None, "restarts": 0}
        if enqueue(job, when=(Status.FAILED, Status.CANCELLED), reason="Resumed: waiting for a free worker.", **again):
            return job
    raise Conflict(f"Only a failed or cancelled job can be resumed; this one is {job.status}.", code=f"job_{job.status}")
