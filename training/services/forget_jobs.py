"""What the attempts of a job shared at its provider goes when nobody can go on from it any more."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Collection
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from finetune.core.errors import DomainError
from training import executors
from training.executors import AccessRefused
from training.models import TrainingJob

logger = logging.getLogger(__name__)


def forget_jobs(*, owner_id: int, executor: str, job_ids: Collection[int]) -> bool:
    """Remove from this person's account what the attempts of these jobs shared (at Hugging Face their buckets).

    False, and the log says why, when the provider did not let us; what stays is listed under Cloud.
    """
    try:
        executors.load(executor).forget(owner_id, job_ids)
    except (AccessRefused, DomainError) as error:
        logger.warning("What jobs %s shared at %s could not be removed: %s", sorted(job_ids), executor, error)
        return False
    return True


def forget_deleted(job: TrainingJob) -> None:
    """After the commit of its deletion, in a worker. A broker that is down is no obstacle to that."""
    if job.executor in executors.remote_names() and not job.keep_remote:
        told = functools.partial(forget.delay, job.owner_id, job.executor, job.pk)
        transaction.on_commit(told, robust=True)


@shared_task
def forget(owner_id: int, executor: str, job_id: int) -> None:
    """One job that has been deleted."""
    forget_jobs(owner_id=owner_id, executor=executor, job_ids={job_id})


@shared_task
def forget_ended() -> None:
    """Every night, by beat: jobs that failed or were cancelled more than RETAIN_CLOUD_DAYS ago. Resumed after that they go on from
    the checkpoints that came home. A job without a row is left alone: the database may have been put back."""
    if not settings.RETAIN_CLOUD_DAYS:
        return
    before = timezone.now() - timedelta(days=settings.RETAIN_CLOUD_DAYS)
    jobs = TrainingJob.objects.filter(executor__in=executors.remote_names(), status__in=TrainingJob.ENDED_BADLY)
    jobs = jobs.filter(finished_at__lt=before, keep_remote=False).order_by("owner_id", "executor")
    accounts = itertools.groupby(jobs.values_list("owner_id", "executor", "pk"), key=lambda job: job[:2])
    for (owner_id, executor), found in accounts:
        forget_jobs(owner_id=owner_id, executor=executor, job_ids={pk for *_, pk in found})
