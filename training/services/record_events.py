"""Engine events become rows, exactly once, by the worker that holds the lease."""

from __future__ import annotations

import math
from typing import Any

from training import event_log, progress
from training.event_log import Entry
from training.lease import Lease, LeaseLost, expiry
from training.models import JobEvent, MetricChunk, TrainingJob

Kind = JobEvent.Kind
KINDS = frozenset(Kind.values)
NUMBERS = ("progress", "metrics", "memory", "phase")


def record_events(*, lease: Lease, events: list[dict[str, Any]], offset: int) -> list[JobEvent]:
    """Write these events and `offset` (bytes of events.jsonl that are now rows) in one transaction; returns the new rows.

    Metric points and sample answers that an earlier attempt has recorded (it ran on after its last checkpoint) are skipped, so
    a resumed curve has every point once. Raises LeaseLost, and writes nothing, when another worker holds the job.
    """
    current = lease.rows.values(*NUMBERS, "last_seq").first()
    if current is None:
        raise LeaseLost(f"job {lease.job_id}, attempt {lease.attempt}")
    fresh = _without_repeats(lease, events)
    numbers = progress.advance(current, fresh, _recent_points(lease, fresh))
    entries = [entry for entry in map(to_entry, fresh) if entry]
    written = event_log.append(lease.rows, entries, events_offset=offset, lease_expires_at=expiry(), **numbers)
    if written is None:
        raise LeaseLost(f"job {lease.job_id}, attempt {lease.attempt}")
    return written


def to_entry(event: dict[str, Any]) -> Entry | None:
    """The row an engine event becomes; None for kinds that are not part of the log."""
    kind, when = event.get("kind"), event_log.moment(event.get("time"))
    payload = {key: value for key, value in event.items() if key not in {"kind", "time", "seq", "attempt"}}
    if kind == "started":
        return Entry(Kind.LOG, {"level": "info", "text": _started_text(event), "details": payload}, when)
    if kind == "failed":
        return Entry(Kind.ERROR, payload, when)
    if kind == "finished":
        return Entry(Kind.LOG, {"level": "info", "text": f"The engine ended: {event.get('outcome')}.", "details": payload}, when)
    if kind == "log" and event.get("level") == "warning":
        return Entry(Kind.WARNING, payload, when)
    return Entry(kind, payload, when) if kind in KINDS else None


def _started_text(event: dict[str, Any]) -> str:
    step = event.get("resumed_from_step")
    begin = f"Training goes on after step {step}" if step else "Training starts"
    trainable = event.get("trainable_parameters") or 0
    rows = f"{event.get('train_rows')} rows to learn from, {event.get('eval_rows')} to check with"
    return f"{begin}: {event.get('total_steps')} steps on {event.get('device')}, {trainable:,} trainable parameters, {rows}."


def _without_repeats(lease: Lease, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if lease.attempt <= 1:
        return events
    known = {split: _last_step(lease, split) for split in {event.get("split") for event in events if event.get("kind") == "metric"}}
    said = _said_samples(lease, {event.get("step") for event in events if event.get("kind") == "sample"})
    return [event for event in events if not _is_repeated(event, known, said)]


def _is_repeated(event: dict[str, Any], known: dict[Any, float], said: set[tuple[Any, ...]]) -> bool:
    if event.get("kind") == "metric":
        return (event.get("step") or 0) <= known[event.get("split")]
    return event.get("kind") == "sample" and _sample(event) in said


def _said_samples(lease: Lease, steps: set[Any]) -> set[tuple[Any, ...]]:
    """Sample answers at these steps that earlier attempts recorded: an exact resume says the same again."""
    if not steps:
        return set()
    earlier = JobEvent.objects.filter(
        job_id=lease.job_id, kind=Kind.SAMPLE, attempt__lt=lease.attempt, payload__step__in=list(steps)
    )
    return {_sample(payload) for payload in earlier.values_list("payload", flat=True)}


def _sample(payload: dict[str, Any]) -> tuple[Any, ...]:
    return payload.get("step"), payload.get("prompt"), payload.get("text")


def _last_step(lease: Lease, split: str | None) -> float:
    """The last step of this split that earlier attempts recorded and that still counts; -1 for none. Attempts are read to
    their end before the next. After a rewind to a checkpoint only what came before it counts."""
    limit = math.inf
    for rewind in reversed(lease.rows.values_list("rewinds", flat=True).first() or []):
        since = _newest_step(lease, split, since=rewind["attempt"])
        if since is not None:
            return min(since, limit)
        limit = min(limit, rewind["step"])
    newest = _newest_step(lease, split)
    return -1 if newest is None else min(newest, limit)


def _newest_step(lease: Lease, split: str | None, *, since: int = 0) -> int | None:
    """The step that was recorded last by attempts before this one, from `since` on. Rows are newer than chunks."""
    attempts = {"job_id": lease.job_id, "attempt__lt": lease.attempt, "attempt__gte": since}
    points = JobEvent.objects.filter(kind=Kind.METRIC, payload__split=split, **attempts).order_by("-seq")
    if last := points.values_list("payload", flat=True).first():
        return int(last.get("step") or 0)
    chunks = MetricChunk.objects.filter(last_steps__has_key=str(split), **attempts).order_by("-last_seq")
    packed = chunks.values_list("last_steps", flat=True).first()
    return packed[str(split)] if packed else None


def _recent_points(lease: Lease, events: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """(step, training seconds) of this attempt's newest recorded points; none when the batch holds enough of its own."""
    batch = [event for event in events if event.get("kind") == "metric"]
    if not batch or len(batch) >= 2 * progress.WINDOW:
        return []
    rows = JobEvent.objects.filter(job_id=lease.job_id, kind=Kind.METRIC, attempt=lease.attempt).order_by("-seq")
    payloads = reversed(rows.values_list("payload", flat=True)[: progress.WINDOW])
    points = [(p.get("step"), p.get("elapsed_seconds")) for p in payloads if p.get("split") == "train"]
    return [(step, seconds) for step, seconds in points if step is not None and seconds is not None]


def clear_numbers(job: TrainingJob) -> dict[str, Any]:
    """What a job that stopped running shows: its numbers stay, its phase and its ETA go."""
    return {"phase": TrainingJob.Phase.NONE, "progress": job.progress | {"eta_seconds": None}}
