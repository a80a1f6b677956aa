"""What everybody's trainings at providers cost, for operators. From the jobs themselves: those at providers are few, and other people's
outcomes are gathered only when they look at theirs."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, FloatField, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from finetune.dashboard.viewer import Viewer
from training.models import TrainingJob

if TYPE_CHECKING:
    from finetune.dashboard.analytics import Chosen


def cost_by_user(viewer: Viewer, chosen: Chosen) -> list[dict[str, Any]]:
    """One row for each person, provider and method, the dearest first: {user, executor, method, jobs, cost}. Nothing for who is no operator.
    A job counts whole on the day it ended the last time, as in the other tables."""
    if not viewer.is_staff:
        return []
    rows = _ended_at_providers(chosen).values("executor", "method", user=F("owner__username"))
    summed = rows.annotate(jobs=Count("pk"), cost=Sum(Cast(KT("cost__actual"), FloatField()), default=0.0))
    found = [{**row, "cost": round(row["cost"], 4)} for row in summed]
    return sorted(found, key=lambda row: (-row["cost"], row["user"], row["executor"], row["method"]))


def _ended_at_providers(chosen: Chosen) -> QuerySet[TrainingJob]:
    begin = datetime.combine(chosen.since, time.min, UTC)
    jobs = TrainingJob.objects.filter(status__in=TrainingJob.FINISHED, finished_at__gte=begin).exclude(executor="local").order_by()
    for name in ("method", "executor", "model_id"):
        if value := getattr(chosen, name):
            jobs = jobs.filter(**{name: value})
    return jobs
