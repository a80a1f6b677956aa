"""A worker's slot takes a job."""

from __future__ import annotations

from finetune.core import storage
from training import lifecycle
from training.lease import Lease, expired, holder_is_dead, new_owner
from training.models import JobQuerySet, TrainingJob

Status = TrainingJob.Status


def claim_job(*, executor: str) -> tuple[TrainingJob, Lease] | None:
    """The job this slot follows next, with its lease: first a running one that nobody follows, else the head of the queue.

    None when there is nothing to do. Two workers never get the same job: each take is a compare-and-swap.
    """
    owner = new_owner()
    for job in orphans().filter(executor=executor):
        if lease := lifecycle.adopt(job, owner):
            return job, lease
    while job := TrainingJob.objects.in_queue().filter(executor=executor).first():
        if lease := lifecycle.claim(job, owner):
            # A new attempt starts from nothing: a directory is there only when the database was put back to an older state.
            storage.remove_tree(job.run_dir)
            return job, lease
    return None


def orphans() -> JobQuerySet:
    """Running jobs whose worker is gone: the lease ran out, or its holder was a process of this machine that ended."""
    running = TrainingJob.objects.filter(status__in=(Status.RUNNING, Status.CANCELLING))
    dead = [pk for pk, owner in running.values_list("pk", "lease_owner") if holder_is_dead(owner)]
    return (running.filter(expired()) | running.filter(pk__in=dead)).order_by("queued_at", "pk")
