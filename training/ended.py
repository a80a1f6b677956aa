"""What a run really needed, beside what was foreseen when it was queued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune.core.templatetags.ui import compact, duration, size
from training.models import JobEvent, TrainingJob

Status = TrainingJob.Status


@dataclass(frozen=True)
class Comparison:
    """One line: a quantity in words, foreseen and measured. `judgement` is "" where nothing can be said."""

    label: str
    estimated: str
    actual: str
    judgement: str


def estimate_against_actual(job: TrainingJob) -> list[Comparison]:
    """A line for each of tokens, steps, time and memory that was both foreseen and measured; empty without an estimate."""
    if not job.estimate or not job.is_finished:
        return []
    seconds, memory = job.estimate["duration_seconds"], job.estimate["memory_bytes"]
    lines = [
        _exact("Tokens", job.estimate.get("tokens"), job.metrics.get("num_tokens")),
        _exact("Steps", job.estimate.get("steps"), job.progress.get("step")),
        _range("Time", (seconds["low"], seconds["high"]), run_seconds(job), duration),
        _range("Peak memory", (memory["low"], memory["high"]), job.memory.get("peak_bytes"), size),
    ]
    return [line for line in lines if line]


def run_seconds(job: TrainingJob) -> float | None:
    """Seconds during which the job ran, over all attempts; what it waited in the queue does not count."""
    events = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.STATUS).order_by("seq").values_list("time", "payload")
    total, since = 0.0, None
    for time, payload in events:
        running = payload.get("status") in (Status.RUNNING, Status.CANCELLING)
        if running and since is None:
            since = time
        elif not running and since is not None:
            total, since = total + (time - since).total_seconds(), None
    return total or None


def _exact(label: str, estimated: float | None, actual: float | None) -> Comparison | None:
    if not estimated or not actual:
        return None
    off = actual / estimated - 1
    words = "as foreseen" if abs(off) < 0.01 else f"{abs(off):.0%} {'more' if off > 0 else 'less'}"
    return Comparison(label, compact(estimated), compact(actual), words)


def _range(label: str, foreseen: tuple[float, float], actual: float | None, words: Any) -> Comparison | None:
    if not actual:
        return None
    low, high = foreseen
    judgement = "within the range" if low <= actual <= high else "below the range" if actual < low else "above the range"
    return Comparison(label, f"{words(low)} to {words(high)}", words(actual), judgement)
