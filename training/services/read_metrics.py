"""A job's curves, thinned so that a million steps still draw at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.core.errors import invalid_field
from training.models import JobEvent, TrainingJob

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
    points = list(all_points(job, keys=keys, after=after, up_to=last_seq))
    limit = min(max_points or FALLBACK_POINTS, MAX_POINTS)
    return Metrics(_thin_all(points, limit, keys[0] if keys else ""), max(last_seq, after))


def all_points(job: TrainingJob, *, keys: Sequence[str] = (), after: int = 0, up_to: int | None = None) -> Iterator[Point]:
    """Every point of the curve that counts, unthinned: what an attempt learned past a checkpoint that a later one was told to
    go back to does not."""
    rows = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.METRIC, seq__gt=after).order_by("seq")
    rows = rows if up_to is None else rows.filter(seq__lte=up_to)
    for seq, attempt, time, payload in rows.values_list("seq", "attempt", "time", "payload").iterator(chunk_size=2000):
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
