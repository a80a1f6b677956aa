"""A job's events in order, wherever they are kept: rows, and chunks of metric points (training.metric_chunks).

Rows are read before chunks: an event that is packed meanwhile is then found twice, and counted once, instead of not at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from training.metric_chunks import unpack
from training.models import JobEvent, MetricChunk


@dataclass(frozen=True)
class Feed:
    """Events as sockets send them. `whole` is false when there may be more of them."""

    events: list[dict[str, Any]]
    whole: bool


def events_after(job_id: int, seq: int, *, limit: int, kinds: Collection[str] = ()) -> Feed:
    """At most `limit` events after this sequence number, of these kinds (all by default); at least one when there is any."""
    rows = JobEvent.objects.filter(job=job_id, seq__gt=seq).order_by("seq")
    found = {row.seq: row.as_dict() for row in (rows.filter(kind__in=kinds) if kinds else rows)[:limit]}
    whole = len(found) < limit
    if not kinds or JobEvent.Kind.METRIC in kinds:
        chunks = MetricChunk.objects.filter(job=job_id, last_seq__gt=seq).order_by("first_seq").defer("sketch")
        if not whole:
            chunks = chunks.filter(first_seq__lte=max(found))
        for chunk in chunks.iterator(chunk_size=2):
            found |= _events(chunk, seq)
            if sum(number <= chunk.last_seq for number in found) >= limit:
                whole = False
                break
    ordered = [found[number] for number in sorted(found)]
    return Feed(ordered[:limit], whole and len(ordered) <= limit)


def events_before(job_id: int, seq: int | None, *, limit: int, kinds: Collection[str]) -> list[JobEvent]:
    """The newest events before this sequence number (of all when it is None), newest first; packed ones as rows that are not saved."""
    rows, chunks = JobEvent.objects.filter(job=job_id, kind__in=kinds).order_by("-seq"), MetricChunk.objects.none()
    if JobEvent.Kind.METRIC in kinds:
        chunks = MetricChunk.objects.filter(job=job_id).order_by("-first_seq").defer("sketch")
    if seq is not None:
        rows, chunks = rows.filter(seq__lt=seq), chunks.filter(first_seq__lt=seq)
    found = {row.seq: row for row in rows[:limit]}
    for chunk in chunks.iterator(chunk_size=2):
        if sum(number > chunk.last_seq for number in found) >= limit:
            break
        found |= {row.seq: row for row in _rows(chunk) if seq is None or row.seq < seq}
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def _rows(chunk: MetricChunk) -> list[JobEvent]:
    kind = JobEvent.Kind.METRIC
    return [
        JobEvent(job_id=chunk.job_id, seq=event.seq, kind=kind, attempt=chunk.attempt, time=event.time, payload=event.payload)
        for event in unpack(bytes(chunk.points))
    ]


def _events(chunk: MetricChunk, after: int) -> dict[int, dict[str, Any]]:
    told = {"kind": str(JobEvent.Kind.METRIC), "attempt": chunk.attempt}
    return {
        event.seq: {"seq": event.seq, **told, "time": event.time.isoformat(), **event.payload}
        for event in unpack(bytes(chunk.points))
        if event.seq > after
    }
