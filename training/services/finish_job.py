"""How a run's end becomes the job's end."""

from __future__ import annotations

import enum
import logging
from typing import Any

from django.utils import timezone

from finetune.core import store
from finetune.core.errors import DomainError, Unavailable
from models_app.models import LanguageModel
from models_app.services.register_version import register_version
from training import failures
from training.engine.rundir import RunDir
from training.event_log import Entry
from training.lease import Lease, LeaseLost, held
from training.lifecycle import move_job
from training.micro_batch import retry_reason
from training.models import JobEvent, TrainingJob
from training.services.record_events import clear_numbers, to_entry
from training.services.start_job import wake_worker
from training.telling import tell_owner

logger = logging.getLogger(__name__)
Status = TrainingJob.Status
RUNS = TrainingJob.RUNNING
# How often the platform starts a run again by itself after its engine was lost.
MAX_RESTARTS = 3


class Outcome(enum.Enum):
    """What became of an engine."""

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"  # it stopped gracefully and left a checkpoint, whoever asked
    FAILED = "failed"
    LOST = "lost"  # gone without a word


def finish_job(
    *,
    job: TrainingJob,
    lease: Lease,
    outcome: Outcome,
    event: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> TrainingJob:
    """Move the job to where this end leads, with the engine's last `event`, and write the `error` of a bad one.

    Succeeded: the output becomes a model version first, so exactly one exists however often this is repeated. A job that
    was being cancelled ends cancelled whatever else happened. A stop that nobody asked for (the machine went down) and
    a lost engine go back to the queue to resume, the latter MAX_RESTARTS times. Out of memory: the same with a smaller batch size,
    where the job's options allow it. Raises LeaseLost when the lease is, and Unavailable when the result is
    ready and the shared store does not take it: call again.
    """
    job.refresh_from_db()
    entries = [entry] if event and (entry := to_entry(event)) else []
    last = _Last(job, lease, entries, error, str((event or {}).get("sha256") or "")[:64])
    if job.status == Status.CANCELLING:
        _end(last, Status.CANCELLED, "Cancelled." + (" The last checkpoint is kept." if _checkpoints(job) else ""))
    elif outcome is Outcome.SUCCEEDED:
        _succeed(last)
    elif outcome is Outcome.CANCELLED:
        _again(last, "The training program was stopped from outside; it resumes from its checkpoint.")
    elif outcome is Outcome.LOST and job.restarts < MAX_RESTARTS:
        reason = f"{error['message'] if error else 'The engine was lost.'} It resumes from its last checkpoint"
        _again(last, f"{reason} (restart {job.restarts + 1} of {MAX_RESTARTS}).", restarts=job.restarts + 1)
    elif _memory_ran_out(outcome, error) and (words := retry_reason(job)):
        last.entries = [Entry(JobEvent.Kind.WARNING, {"level": "warning", "text": error["message"]})] if error else []
        _again(last, words, memory_retries=job.memory_retries + 1)
    else:
        _end(last, Status.FAILED, error["message"] if error else "The run failed.", error=error)
    return job


def _memory_ran_out(outcome: Outcome, error: dict[str, Any] | None) -> bool:
    return outcome is Outcome.FAILED and error is not None and error["code"] == "out_of_memory"


class _Last:
    """What belongs to every ending: the job, the right to end it, the engine's last event, the hash of what it wrote."""

    def __init__(self, job: TrainingJob, lease: Lease, entries: list[Entry], error: dict[str, Any] | None, weights: str):
        self.job, self.lease, self.entries, self.error, self.weights = job, lease, entries, error, weights


def _end(last: _Last, to: Status, reason: str, **values: Any) -> None:
    progress = clear_numbers(last.job)
    if to == Status.SUCCEEDED:
        progress["progress"] |= {"fraction": 1.0, "eta_seconds": 0.0}
    released = {"lease_owner": "", "lease_expires_at": None, "finished_at": timezone.now()}
    if _move(last, to, reason, **released, **progress, **values):
        tell_owner(last.job, to, reason)


def _again(last: _Last, reason: str, **values: Any) -> None:
    """Back to the queue, before those that have not run yet; the next attempt resumes. A cancel that came just now wins."""
    released = {"lease_owner": "", "lease_expires_at": None, "interrupted": True}
    if _move(last, Status.QUEUED, reason, when=Status.RUNNING, **released, **clear_numbers(last.job), **values):
        wake_worker(last.job.pk)
    else:
        _end(last, Status.CANCELLED, "Cancelled.")


def _succeed(last: _Last) -> None:
    job, run = last.job, RunDir(last.job.run_dir)
    if not last.lease.renew():
        raise LeaseLost(f"job {job.pk}, attempt {last.lease.attempt}")
    try:
        with held(last.lease):
            version = _register(job, run)
    except Unavailable:  # the shared store: the caller asks again, and the version is completed then
        raise
    except (DomainError, OSError) as error:
        logger.exception("The result of job %s could not be kept.", job.pk)
        told = failures.not_kept(run, error)
        _end(last, Status.FAILED, told["message"], error=told)
        return
    made = {"output_model": version, "weights_sha256": last.weights}
    _end(last, Status.SUCCEEDED, f"Finished: {version.name} version {version.version} is ready.", **made)


def _register(job: TrainingJob, run: RunDir) -> LanguageModel:
    return register_version(
        owner=job.owner,
        family=job.name,
        base_model=job.model,
        method=job.method,
        adapter=(run.output / "adapter_config.json").exists(),
        origin=f"job-{job.pk}",
        source_dir=run.output,
        metrics=job.metrics,
    )


def _move(last: _Last, to: Status, reason: str, *, when: Any = RUNS, **values: Any) -> bool:
    moved = move_job(last.job, to, when=when, reason=reason, lease=last.lease, before=last.entries, **values)
    if not moved and not last.lease.rows.exists():
        raise LeaseLost(f"job {last.lease.job_id}, attempt {last.lease.attempt}")
    return moved


def _checkpoints(job: TrainingJob) -> bool:
    folder = RunDir(job.run_dir).checkpoints
    return any(folder.glob("checkpoint-*")) or bool(store.published(folder))
