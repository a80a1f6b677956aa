"""Go on from a checkpoint."""

from __future__ import annotations

from typing import Any

from accounts.limits import refuse_when_full
from finetune.core import storage
from finetune.core.errors import Conflict, invalid_field
from training.base_access import refuse_base
from training.models import TrainingJob
from training.refusals import refuse_unusable
from training.services.start_job import enqueue
from training.spending import checked_budget, refuse_cost, refuse_place

KEPT: Any = object()  # None is a budget, too: none


def resume_job(*, job: TrainingJob, checkpoint: int | None = None, budget: Any = KEPT, confirm_cost: bool = False) -> TrainingJob:
    """Queue a failed or cancelled job for its next attempt, which continues from the newest whole checkpoint.

    With `checkpoint` (a step) it goes back to that one: what came after it no longer counts and is learned anew.
    A new `budget` (USD, for all attempts together) takes the place of the old one, None or nothing means no budget any more.
    Conflict in every other state and at the owner's limits (see start_job); Invalid when its model or dataset is no longer usable, or there is no such checkpoint.
    """
    if job.status in TrainingJob.ENDED_BADLY:
        splits = {"train_split": job.train_split, "eval_split": job.eval_split}
        refuse_unusable(method=job.method, model=job.model, dataset=job.dataset, **splits)
        refuse_when_full(job.owner)
        refuse_place(owner=job.owner, executor=job.executor, hardware=job.hardware)
        refuse_base(owner=job.owner, model=job.model, executor=job.executor)
        job.budget = job.budget if budget is KEPT else checked_budget(budget)
        job.cost = {name: value for name, value in job.cost.items() if name not in ("stopped", "warned")}
        refuse_cost(job, confirmed=confirm_cost)
        again: dict[str, Any] = {"finished_at": None, "error": None, "restarts": 0, "budget": job.budget, "cost": job.cost}
        reason = "Resumed: waiting for a free worker."
        if checkpoint is not None:
            again["rewinds"] = [*job.rewinds, _rewind(job, checkpoint)]
            reason = f"Resumed from the checkpoint of step {checkpoint}: waiting for a free worker."
        if enqueue(job, when=TrainingJob.ENDED_BADLY, reason=reason, **again):
            return job
    raise Conflict(f"Only a failed or cancelled job can be resumed; this one is {job.status}.", code=f"job_{job.status}")


def _rewind(job: TrainingJob, step: int) -> dict[str, int]:
    """The newest attempt's checkpoint of this step, for the next attempt. Its files are verified by the worker that takes the job."""
    if directory := storage.checkpoint_dir(job.pk, step):
        return {"attempt": job.attempt + 1, "step": step, "from_attempt": int(directory.parts[-3])}
    raise invalid_field("checkpoint", f"There is no checkpoint of step {step} any more. Choose one of those that are kept.")
