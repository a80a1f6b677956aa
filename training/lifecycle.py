"""Status moves of a job: compare-and-swap, and an event with the reason, in one transaction."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils import timezone

from training import event_log
from training.event_log import Entry
from training.lease import Lease, expiry
from training.models import JobEvent, TrainingJob

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

    `before` are events that belong to the move and come first. The job is refreshed either way.
    """
    rows = lease.rows if lease else TrainingJob.objects.filter(pk=job.pk)
    rows = rows.filter(status__in=(when,) if isinstance(when, str) else when)
    entry = Entry(JobEvent.Kind.STATUS, {"status": str(to), "reason": reason})
    won = event_log.append(rows, [*(before or []), entry], status=to, **values)
    job.refresh_from_db()
    return won is not None


def claim(job: TrainingJob, owner: str) -> Lease | None:
    """Take a queued job for its next attempt; None when another worker was quicker or it was cancelled."""
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
    )
    job.refresh_from_db()
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
    entry = Entry(JobEvent.Kind.LOG, {"level": "info", "text": "A worker took over following this run."})
    won = event_log.append(rows, [entry], lease_owner=owner, lease_expires_at=expiry())
    job.refresh_from_db()
    return Lease(job.pk, job.attempt, owner) if won is not None else None
