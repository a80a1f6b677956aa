"""Old metric points become chunks."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from training.metric_chunks import Event, last_steps, pack, sketch
from training.models import JobEvent, MetricChunk, TrainingJob

CHUNK = 4096
# The newest points stay rows: sockets are given these again and again.
KEEP = 1000
# Fewer points of an ended attempt are not worth a chunk.
FEWEST = 500
SPARK = 8


def pack_metrics(*, job: TrainingJob, to_the_end: bool = False) -> int:
    """Put the job's oldest metric events into chunks of CHUNK, all but the newest KEEP, or with `to_the_end` all that are worth it;
    how many points were packed.

    Each chunk is one transaction that adds it and removes its rows, so that at any moment every point is there once. May be called at any
    time, by several processes.
    """
    packed = 0
    while _worth(job.pk, to_the_end) and (rows := _oldest(job.pk)):
        if len(rows[1]) < FEWEST or not _pack(job.pk, *rows):
            break  # too few, or somebody else did
        packed += len(rows[1])
    return packed


def _worth(job_id: int, to_the_end: bool) -> bool:
    """Whether enough rows lie there, at the end any number."""
    return to_the_end or _metrics(job_id).order_by("seq").values_list("pk")[CHUNK + KEEP - 1 : CHUNK + KEEP].exists()


def _oldest(job_id: int) -> tuple[int, list[Event]] | None:
    """The attempt of the oldest metric row, and its oldest events, at most a chunk of them."""
    rows = list(_metrics(job_id).order_by("seq").values_list("attempt", "seq", "time", "payload")[:CHUNK])
    return (rows[0][0], [Event(*event) for attempt, *event in rows if attempt == rows[0][0]]) if rows else None


def _pack(job_id: int, attempt: int, events: list[Event]) -> bool:
    points = pack(events)
    chunk = MetricChunk(
        job_id=job_id,
        attempt=attempt,
        first_seq=events[0].seq,
        last_seq=events[-1].seq,
        count=len(events),
        last_steps=last_steps(events),
        spark=_spark(events),
        points=points,
        sketch=sketch(points),
    )
    try:
        with transaction.atomic():
            chunk.save(force_insert=True)
            _metrics(job_id).filter(seq__lte=events[-1].seq).delete()
    except IntegrityError:
        return False
    return True


def _spark(events: list[Event]) -> list[float]:
    losses = [event.payload["values"]["loss"] for event in events if "loss" in (event.payload.get("values") or {})]
    return [loss for loss in losses[:: max(1, len(losses) // SPARK)] if loss is not None]


def _metrics(job_id: int) -> QuerySet[JobEvent]:
    return JobEvent.objects.filter(job=job_id, kind=JobEvent.Kind.METRIC)
