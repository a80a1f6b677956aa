"""Into the queue, and the turn of a worker's slot."""

from __future__ import annotations

import functools
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from accounts.limits import limits_of, refuse_when_full
from accounts.models import User
from finetune.core.errors import Conflict
from training import executors
from training.base_access import refuse_base
from training.lifecycle import move_job
from training.models import TrainingJob
from training.refusals import refuse_config, refuse_devices, refuse_unusable
from training.spending import refuse_cost, refuse_place
from training.start_facts import facts_at_start

Status = TrainingJob.Status


def start_job(*, job: TrainingJob, confirm_cost: bool = False) -> TrainingJob:
    """Queue a draft; a worker takes it when its turn comes. Starting a queued or running job again changes nothing.

    Conflict once it has ended (resume or clone it), when as many of the owner's jobs wait as may, and when their files take all the
    disk that they may; Invalid when its model or dataset is no longer usable, or its provider. What
    costs more than may be is refused as in training.spending; `confirm_cost` is the owner's yes to it.
    """
    if job.status == Status.DRAFT:
        splits = {"train_split": job.train_split, "eval_split": job.eval_split}
        refuse_unusable(method=job.method, model=job.model, dataset=job.dataset, **splits)
        refuse_devices(executor=job.executor, config=job.config)
        parts: dict[str, Any] = {"method": job.method, "executor": job.executor, "model": job.model, "dataset": job.dataset}
        refuse_config(**parts, eval_split=job.eval_split, config=job.config)
        refuse_when_full(job.owner)
        gpus = job.config.get("num_gpus", 1)
        refuse_place(owner=job.owner, executor=job.executor, hardware=job.hardware, num_gpus=gpus)
        refuse_base(owner=job.owner, model=job.model, executor=job.executor)
        facts = {} if job.inputs else facts_at_start(job)
        job.cost = facts.get("cost", job.cost)
        refuse_cost(job, confirmed=confirm_cost)
        if enqueue(job, when=Status.DRAFT, reason="Started: waiting for a free worker.", **facts):
            return job
    if job.status in (Status.QUEUED, Status.RUNNING):
        return job
    raise Conflict(f"This job is {job.status}. Resume it, or clone it to start anew.", code=f"job_{job.status}")


def enqueue(job: TrainingJob, *, when: str | tuple[str, ...], reason: str, **values: Any) -> bool:
    """Move to `queued` at the end of the line and wake a worker after the commit; True if this caller made the move."""
    with transaction.atomic():
        _refuse_too_many(job)
        moved = move_job(
            job, Status.QUEUED, when=when, reason=reason, **{"queued_at": timezone.now(), "moved_up_at": None, **values}
        )
    if moved:
        wake_worker(job.pk)
    return moved


def _refuse_too_many(job: TrainingJob) -> None:
    """Conflict when as many of the owner's jobs wait as may. The owner's row is locked (SQLite has one writer anyway), so that of two
    starts at the same moment the second one counts the first."""
    limit = limits_of(job.owner).queued_jobs
    if not limit:
        return
    list(User.objects.select_for_update().filter(pk=job.owner_id).values_list("pk"))
    waiting = TrainingJob.objects.for_user(job.owner).waiting().exclude(pk=job.pk).count()
    if waiting >= limit:
        words = f"{waiting} of your jobs wait already, and no more than {limit} may. Start this one when one of them has begun"
        raise Conflict(f"{words}, or cancel one.", code="queue_limit")


def wake_worker(pk: int) -> None:
    """Put a message on the `train` queue, or `cloud` for a provider's run, after the commit. A broker that is down is no error:
    reconcile sends it again."""
    executor = TrainingJob.objects.filter(pk=pk).values_list("executor", flat=True).first()
    task = run_remote_job if executor in executors.remote_names() else run_job
    transaction.on_commit(functools.partial(task.delay, pk), robust=True)


@shared_task(name="training.services.start_job.run_job", bind=True)
def run_job(self: Any, pk: int) -> None:
    """One turn of a train worker: follow the job that comes first. The message only says that somebody waits, so a lost
    or doubled one is harmless and the order is that of the queue, whatever the broker does."""
    from celery_worker.lifecycle import stopping
    from training import supervisor
    from training.services.claim_job import claim_job
    from training.services.reconcile_jobs import wake_waiting

    if stopping.is_set():
        return
    claimed = claim_job(executor="local", worker=self.request.hostname or "")
    if claimed is not None:
        supervisor.follow(*claimed, stop=stopping)
        wake_waiting()  # a job that wanted these devices had its own message long ago


@shared_task(name="training.services.start_job.run_remote_job")
def run_remote_job(pk: int) -> None:
    """One turn of a cloud worker: follow a run that is, or will be, at a provider. As above, the message only says that one waits."""
    from celery_worker.lifecycle import stopping
    from training import supervisor
    from training.services.claim_job import claim_job

    for name in executors.remote_names():
        claimed = None if stopping.is_set() else claim_job(executor=name)
        if claimed is not None:
            supervisor.follow(*claimed, stop=stopping)
            return
