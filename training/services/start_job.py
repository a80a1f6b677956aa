"""Into the queue, and the turn of a worker's slot."""

from __future__ import annotations

import functools
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from finetune.core.errors import Conflict
from training.lifecycle import move_job
from training.models import TrainingJob
from training.refusals import refuse_config, refuse_devices, refuse_unusable
from training.start_facts import facts_at_start

Status = TrainingJob.Status


def start_job(*, job: TrainingJob) -> TrainingJob:
    """Queue a draft; a worker takes it when its turn comes. Starting a queued or running job again changes nothing.

    Conflict once it has ended (resume or clone it); Invalid when its model or dataset is no longer usable.
    """
    if job.status == Status.DRAFT:
        splits = {"train_split": job.train_split, "eval_split": job.eval_split}
        refuse_unusable(method=job.method, model=job.model, dataset=job.dataset, **splits)
        refuse_devices(executor=job.executor, config=job.config)
        parts: dict[str, Any] = {"method": job.method, "executor": job.executor, "model": job.model, "dataset": job.dataset}
        refuse_config(**parts, eval_split=job.eval_split, config=job.config)
        facts = {} if job.inputs else facts_at_start(job)
        if enqueue(job, when=Status.DRAFT, reason="Started: waiting for a free worker.", **facts):
            return job
    if job.status in (Status.QUEUED, Status.RUNNING):
        return job
    raise Conflict(f"This job is {job.status}. Resume it, or clone it to start anew.", code=f"job_{job.status}")


def enqueue(job: TrainingJob, *, when: str | tuple[str, ...], reason: str, **values: Any) -> bool:
    """Move to `queued` at the end of the line and wake a worker after the commit; True if this caller made the move."""
    moved = move_job(job, Status.QUEUED, when=when, reason=reason, **{"queued_at": timezone.now(), **values})
    if moved:
        wake_worker(job.pk)
    return moved


def wake_worker(pk: int) -> None:
    """Put a message on the `train` queue after the commit. A broker that is down is no error: reconcile sends it again."""
    transaction.on_commit(functools.partial(run_job.delay, pk), robust=True)


@shared_task(name="training.services.start_job.run_job")
def run_job(pk: int) -> None:
    """One turn of a train worker: follow the job that comes first. The message only says that somebody waits, so a lost
    or doubled one is harmless and the order is that of the queue, whatever the broker does."""
    from celery_worker.lifecycle import stopping
    from training import supervisor
    from training.services.claim_job import claim_job

    if stopping.is_set():
        return
    claimed = claim_job(executor="local")
    if claimed is not None:
        supervisor.follow(*claimed, stop=stopping)
