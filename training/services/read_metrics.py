"""A job's curves, thinned so that a million steps still draw at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from finetune.core.errors import invalid_field
from training.metric_chunks import SKETCH_EVERY, Event, read_sketch, unpack, unpack_thinned
from training.models import JobEvent, MetricChunk, TrainingJob

Point = dict[str, Any]
MAX_POINTS = 50_000
FALLBACK_POINTS = 5_000


@dataclass(frozen=True)
class Metrics:
    """Points in the order they happened, and the cursor to ask for what comes after them."""

    points: list[Point]
    last_seq: int


def read_metrics(*, job: TrainingJob, after: int = 0, max_points: int | None = None, keys: Sequence[str] = ()) -> Metrics:
    """The points after `after`, with only the values in `keys` (all by default), thinned to about `max_points`.

    Each point is {seq, step, epoch, time, split, elapsed_seconds, values}. Thinning keeps the first and last point of each
    split and the extremes in between, so that no spike is lost. Invalid for a negative cursor or fewer than two points.
    """
    if after < 0:
        raise invalid_field("after", "Must be at least 0.")
    if max_points is not None and max_points < 2:
        raise invalid_field("max_points", "Must be at least 2.")
    last_seq = TrainingJob.objects.values_list("last_seq", flat=True).get(pk=job.pk)  # first: never past what is read
    limit = min(max_points or FALLBACK_POINTS, MAX_POINTS)
    points = list(_points(job, keys, after, last_seq, limit))
    return Metrics(_thin_all(points, limit, keys[0] if keys else ""), max(last_seq, after))


def all_points(job: TrainingJob, *, keys: Sequence[str] = (), after: int = 0, up_to: int | None = None) -> Iterator[Point]:
    """Every point of the curve that counts, unthinned: what an attempt learned past a checkpoint that a later one was told to
    go back to does not."""
    return _points(job, keys, after, up_to, None)


def _points(job: TrainingJob, keys: Sequence[str], after: int, up_to: int | None, limit: int | None) -> Iterator[Point]:
    """The points that count; with a limit those of chunks are thinned already, to some times the limit."""
    rows = _rows(job, after, up_to)  # before the chunks: see event_feed
    chunks = MetricChunk.objects.filter(job=job, last_seq__gt=after).order_by("first_seq")
    packed = 0
    end = math.inf if up_to is None else up_to
    for attempt, last, events in _chunks(chunks, limit, keys):
        packed = last
        wanted = (event for event in events if after < event.seq <= end)
        yield from _told(job, keys, ((event.seq, attempt, event.time, event.payload) for event in wanted))
    yield from _told(job, keys, (row for row in rows if row[0] > packed))


def _rows(job: TrainingJob, after: int, up_to: int | None) -> list[tuple[int, int, Any, dict[str, Any]]]:
    rows = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.METRIC, seq__gt=after).order_by("seq")
    rows = rows if up_to is None else rows.filter(seq__lte=up_to)
    return list(rows.values_list("seq", "attempt", "time", "payload"))


def _chunks(chunks: QuerySet[MetricChunk], limit: int | None, keys: Sequence[str]) -> Iterator[tuple[int, int, list[Event]]]:
    """Each chunk's attempt, last number and events. The sketches are read alone where they have more points than are wanted."""
    count = chunks.aggregate(points=Sum("count"))["points"] or 0
    width = 2 * max(1, count // (4 * limit)) if limit else 2
    coarse = bool(limit) and (not keys or keys[0] == "loss") and width >= SKETCH_EVERY // 2
    column = "sketch" if coarse else "points"
    for attempt, last, packed in chunks.values_list("attempt", "last_seq", column).iterator(chunk_size=50):
        events = read_sketch(packed) if coarse else unpack_thinned(packed, width, keys) if width > 2 else unpack(packed, keys)
        yield attempt, last, events


def _told(job: TrainingJob, keys: Sequence[str], rows: Iterable[tuple[int, int, Any, dict[str, Any]]]) -> Iterator[Point]:
    for seq, attempt, time, payload in rows:
        step = payload.get("step") or 0
        if any(attempt < rewind["attempt"] and step > rewind["step"] for rewind in job.rewinds):
            continue
        values = payload.get("values") or {}
        if keys:
            values = {key: values[key] for key in keys if key in values}
            if not values:
                continue
        rest = {name: payload.get(name) for name in ("step", "epoch", "split", "elapsed_seconds")}
        yield {"seq": seq, "time": time.isoformat(), **rest, "values": values}


def _thin_all(points: list[Point], limit: int, key: str) -> list[Point]:
    """Every split by itself, each with a share of the limit that fits its length; evaluations are few and come first."""
    if len(points) <= limit:
        return points
    splits: dict[Any, list[Point]] = {}
    for point in points:
        splits.setdefault(point["split"], []).append(point)
    kept: list[Point] = []
    groups = sorted(splits.values(), key=len)
    for index, group in enumerate(groups):
        share = max(2, (limit - len(kept)) // (len(groups) - index))
        kept += thin(group, share, key or ("eval_loss" if group[0]["split"] == "eval" else "loss"))
    return sorted(kept, key=lambda point: point["seq"])


def thin(points: list[Point], limit: int, key: str) -> list[Point]:
    """At most `limit` of the points: the first, the last, and of each stretch between them the lowest and highest `key`."""
    if len(points) <= limit:
        return points
    inner, buckets = points[1:-1], max(0, (limit - 2) // 2)
    kept = [points[0]]
    for index in range(buckets):
        stretch = inner[index * len(inner) // buckets : (index + 1) * len(inner) // buckets]
        kept += _extremes(stretch, key)
    return [*kept, points[-1]]


def _extremes(stretch: list[Point], key: str) -> list[Point]:
    known = [point for point in stretch if point["values"].get(key) is not None]
    if not known:
        return stretch[:1]
    low = min(known, key=lambda point: point["values"][key])
    high = max(known, key=lambda point: point["values"][key])
    return [low] if low is high else sorted((low, high), key=lambda point: point["seq"])
