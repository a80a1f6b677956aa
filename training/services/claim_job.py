"""A worker's slot takes a job."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from finetune.core import storage
from training import executors, lifecycle, queue, slots
from training.lease import Lease, expired, holder_is_dead, machine, new_owner
from training.models import DeviceHold, DrainedWorker, JobQuerySet, TrainingJob
from training.queue import Waiting
from training.services.report_run import open_reports

Status = TrainingJob.Status


def claim_job(*, executor: str, worker: str = "") -> tuple[TrainingJob, Lease] | None:
    """The job this slot follows next, with its lease: first a running one that nobody follows, else the one whose turn it is.

    Nothing new is taken from a queue that is paused, by a `worker` (a Celery node's name) that is drained, beyond a person's limit, or
    without as many free devices as a job asks for. None when there is nothing to do. Two workers never get the same job, nor
    two jobs the same device: each take is a compare-and-swap.
    """
    owner = new_owner()
    for job in orphans().filter(executor=executor):
        if lease := lifecycle.adopt(job, owner):
            return job, lease
    if queue.pause_of(executor) or DrainedWorker.objects.filter(name=worker).exists():
        return None
    here = executors.load(executor).is_here
    while found := _next(executor, here=here):
        job, devices = found
        if lease := lifecycle.claim(job, owner, devices=devices):
            # A new attempt starts from nothing: a directory is there only when the database was put back to an older state.
            storage.remove_tree(job.run_dir)
            open_reports(job)
            return job, lease
    return None


def orphans() -> JobQuerySet:
    """Running jobs whose worker is gone: the lease ran out, or its holder was a process of this machine that ended."""
    running = TrainingJob.objects.running()
    dead = [pk for pk, owner in running.values_list("pk", "lease_owner") if holder_is_dead(owner)]
    return (running.filter(expired()) | running.filter(pk__in=dead)).order_by("queued_at", "pk")


def _next(executor: str, *, here: bool) -> tuple[TrainingJob, list[str]] | None:
    """The first job in line that can start, and the devices for it. One that needs more than are free keeps those that are:
    else a stream of small jobs would let a large one wait for ever."""
    free, total = _free() if here else ([], 0)
    for place in queue.queue(executor):
        if place.held:
            return None  # so is everybody behind it
        wanted = _wanted(place.job, total) if here else 0
        if wanted <= len(free):
            job = TrainingJob.objects.waiting().filter(pk=place.job.pk).first()
            if job:
                return job, free[:wanted]
        elif wanted <= total and _reserve(place.job):
            return None
    return None


def _free() -> tuple[list[str], int]:
    """This machine's slots that no running job holds, and how many there are altogether."""
    taken = set(DeviceHold.objects.filter(machine=machine(), job__status__in=TrainingJob.RUNNING).values_list("device", flat=True))
    mine = slots.slots()
    return [name for name in mine if name not in taken], len(mine)


def _wanted(job: Waiting, total: int) -> int:
    """How many slots the job takes here. Processes share a processor, so that there all of its slots are enough."""
    return job.devices if slots.has_gpus() else min(job.devices, total)


def _reserve(job: Waiting) -> bool:
    """Let this machine collect devices for the job; False while another machine, which is alive, does."""
    now, here = timezone.now(), machine()
    until = now + timedelta(seconds=settings.JOB_LEASE_SECONDS * 2)
    rows = TrainingJob.objects.waiting().filter(pk=job.pk)
    mine = rows.filter(reserved_on__in=("", here)) | rows.filter(reserved_until__lt=now)
    return bool(mine.update(reserved_on=here, reserved_until=until))
