"""Keeps JobOutcome in step with the jobs, whenever somebody looks: only what ended since the last look is read."""

from __future__ import annotations

import math
from datetime import UTC, timedelta
from typing import Any

from django.db.models import Max

from finetune.dashboard.models import JobOutcome
from finetune.dashboard.viewer import Viewer
from training.models import TrainingJob

BATCH = 2000
# A job's transaction may be committed after that of one that ended later.
OVERLAP = timedelta(minutes=5)
READ = (
    "pk",
    "owner_id",
    "finished_at",
    "status",
    "method",
    "executor",
    "memory",
    "model_id",
    "progress",
    "metrics",
    "cost",
    "estimate",
)
KEPT = [field.name for field in JobOutcome._meta.fields if field.name != "job"]


def gather_outcomes(user: Viewer) -> int:
    """Copy the jobs of this person that ended since the newest outcome; how many."""
    newest = JobOutcome.objects.for_user(user).aggregate(newest=Max("finished_at"))["newest"]
    ended = TrainingJob.objects.for_user(user).filter(status__in=TrainingJob.FINISHED, finished_at__isnull=False)
    if newest:
        ended = ended.filter(finished_at__gt=newest - OVERLAP)
    rows, number = [], 0
    for values in ended.order_by().values(*READ).iterator(BATCH):
        rows.append(outcome_of(values))
        number += 1
        if len(rows) == BATCH:
            _keep(rows)
            rows = []
    _keep(rows)
    return number


def _keep(rows: list[JobOutcome]) -> None:
    JobOutcome.objects.bulk_create(rows, update_conflicts=True, unique_fields=["job"], update_fields=KEPT)


def outcome_of(values: dict[str, Any]) -> JobOutcome:
    """The narrow row of a job's values. What is missing or no number counts as unknown."""
    foreseen = (values["estimate"] or {}).get("duration_seconds") or {}
    metrics = values["metrics"]
    return JobOutcome(
        job_id=values["pk"],
        owner_id=values["owner_id"],
        finished_at=values["finished_at"],
        day=values["finished_at"].astimezone(UTC).date(),
        status=values["status"],
        method=values["method"],
        executor=values["executor"],
        device=str((values["memory"] or {}).get("device") or "")[:100],
        model_id=values["model_id"],
        seconds=number(values["progress"].get("elapsed_seconds")) or 0.0,
        tokens=int(number(metrics.get("num_tokens")) or 0),
        loss=number(metrics.get("loss")),
        eval_loss=number(metrics.get("best_eval_loss", metrics.get("eval_loss"))),
        cost=number((values["cost"] or {}).get("actual")) or 0.0,
        foreseen_low=number(foreseen.get("low")),
        foreseen_high=number(foreseen.get("high")),
    )


def number(value: Any) -> float | None:
    """A finite number, else None: a diverged run's loss is NaN, and would make every mean NaN."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
