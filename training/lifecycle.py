"""Status moves of a job: compare-and-swap, and an event with the reason, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from training import event_log
from training.event_log import Entry
from training.lease import Lease, expiry, machine
from training.models import DeviceHold, JobEvent, TrainingJob

Status = TrainingJob.Status


def move_job(
    job: TrainingJob,
    to: str,
    *,
    when: str | tuple[str, ...],
    reason: str,
    lease: Lease | None = None,
    before: list[Entry] | None = None,
    **values: Any,
) -> bool:
    """Set the status if it is one of `when` (and the lease is still held); True if this caller made the move.

    `before` are events that belong to the move and come first. A job that runs no longer gives its devices back. The job is
    refreshed either way.
    """
    rows = lease.rows if lease else TrainingJob.objects.filter(pk=job.pk)
    rows = rows.filter(status__in=(when,) if isinstance(when, str) else when)
    entry = Entry(JobEvent.Kind.STATUS, {"status": str(to), "reason": reason})
    with transaction.atomic():
        won = event_log.append(rows, [*(before or []), entry], status=to, **values)
        if won is not None and to not in TrainingJob.RUNNING:
            DeviceHold.objects.filter(job=job.pk).delete()
    job.refresh_from_db()
    return won is not None


def claim(job: TrainingJob, owner: str, *, devices: Sequence[str] = ()) -> Lease | None:
    """Take a queued job for its next attempt, with these devices of this machine; None when another worker was quicker with
    the job or with a device, or it was cancelled."""
    try:
        with transaction.atomic():
            lease = _claim(job, owner)
            if lease:  # a hold of a job that doesn't run is left from a database that was put back
                DeviceHold.objects.filter(machine=machine()).exclude(job__status__in=TrainingJob.RUNNING).delete()
                DeviceHold.objects.filter(job=job).delete()
                holds = [DeviceHold(job=job, machine=machine(), device=device) for device in devices]
                DeviceHold.objects.bulk_create(holds)
    except IntegrityError:
        lease = None
    job.refresh_from_db()
    return lease


def _claim(job: TrainingJob, owner: str) -> Lease | None:
    attempt = job.attempt
    rows = TrainingJob.objects.filter(pk=job.pk, status=Status.QUEUED, attempt=attempt)
    word = "A worker took the job." if attempt == 0 else f"A worker took the job: attempt {attempt + 1}."
    entry = Entry(JobEvent.Kind.STATUS, {"status": str(Status.RUNNING), "reason": word})
    won = event_log.append(
        rows,
        [entry],
        status=Status.RUNNING,
        phase=TrainingJob.Phase.PREPARING,
        attempt=F("attempt") + 1,
        lease_owner=owner,
        lease_expires_at=expiry(),
        events_offset=0,
        started_at=job.started_at or timezone.now(),
        finished_at=None,
        error=None,
        interrupted=False,
        moved_up_at=None,
        reserved_on="",
        reserved_until=None,
    )
    return Lease(job.pk, attempt + 1, owner) if won is not None else None


def adopt(job: TrainingJob, owner: str) -> Lease | None:
    """Take over a running job whose holder is gone, in the attempt it is in; None when another worker was quicker."""
    rows = TrainingJob.objects.filter(
        pk=job.pk,
        status__in=(Status.RUNNING, Status.CANCELLING),
        attempt=job.attempt,
        lease_owner=job.lease_owner,
        lease_expires_at=job.lease_expires_at,
    )
    before = job.lease_owner
    entry = Entry(JobEvent.Kind.LOG, {"level": "info", "text": "A worker took over following this run."})
    won = event_log.append(rows, [entry], lease_owner=owner, lease_expires_at=expiry())
    job.refresh_from_db()
    return Lease(job.pk, job.attempt, owner, before) if won is not None else None
