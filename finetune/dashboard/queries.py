"""What one person has and what is going on, read across the apps. Every read starts from `for_user`."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, QuerySet, Sum, Value
from django.db.models.functions import Greatest

from datasets_app.models import Dataset
from finetune.dashboard.viewer import Viewer
from models_app.models import LanguageModel
from training.models import JobEvent, JobQuerySet, MetricChunk, TrainingJob
from training.queue import with_positions

# A sparkline is 200 × 56 units (the view box in home.html); so many points suffice for that.
SPARK_POINTS, SPARK_WIDTH, SPARK_HEIGHT = 80, 200, 56


def counts(user: Viewer) -> dict[str, Any]:
    """`{datasets, models, jobs: {total, by_status}, storage_bytes}`; storage is the files of datasets and models, in bytes."""
    datasets = Dataset.objects.for_user(user).aggregate(number=Count("pk"), bytes=Sum("bytes"))
    models = LanguageModel.objects.for_user(user).aggregate(number=Count("pk"), bytes=Sum("bytes"))
    rows = TrainingJob.objects.for_user(user).order_by().values_list("status").annotate(number=Count("pk"))
    by_status = {str(status): number for status, number in rows}
    return {
        "datasets": datasets["number"],
        "models": models["number"],
        "jobs": {"total": sum(by_status.values()), "by_status": by_status},
        "storage_bytes": (datasets["bytes"] or 0) + (models["bytes"] or 0),
    }


def running_jobs(user: Viewer, *, limit: int = 10) -> list[TrainingJob]:
    """Jobs that wait or run: the running ones first, then in the order of the queue."""
    active = TrainingJob.objects.for_user(user).active().for_list()
    jobs = with_positions(active.order_by(F("started_at").asc(nulls_last=True), "queued_at", "pk")[:limit])
    return sorted(jobs, key=lambda job: job.queue_position or 0)


def recent_jobs(user: Viewer, *, limit: int = 8) -> JobQuerySet:
    """The newest jobs, whatever their status."""
    return TrainingJob.objects.for_user(user).for_list()[:limit]


def recent_datasets(user: Viewer, *, limit: int = 5) -> QuerySet[Dataset]:
    return Dataset.objects.for_user(user)[:limit]


def recent_models(user: Viewer, *, limit: int = 5) -> QuerySet[LanguageModel]:
    return LanguageModel.objects.for_user(user).select_related("base_model")[:limit]


def being_prepared(user: Viewer) -> list[dict[str, Any]]:
    """Datasets that are checked and models that are fetched or made right now: `{name, what, progress}`."""
    datasets = Dataset.objects.for_user(user).filter(status__in=(Dataset.Status.UPLOADED, Dataset.Status.VALIDATING))
    models = LanguageModel.objects.for_user(user).filter(status=LanguageModel.Status.DOWNLOADING)
    found = [{"name": row.name, "what": "Checking the dataset", "progress": row.progress} for row in datasets[:5]]
    found += [{"name": row.name, "what": _model_work(row), "progress": row.progress} for row in models[:5]]
    return found


def _model_work(model: LanguageModel) -> str:
    return "Making the sample model" if model.source == LanguageModel.Source.SAMPLE else "Downloading the model"


def sparklines(jobs: list[TrainingJob]) -> dict[int, str]:
    """Job id → its train loss so far as an SVG polyline's points; absent until there are two. Two queries, long runs are thinned in them."""
    losses: dict[int, list[float]] = {}
    chunks = MetricChunk.objects.filter(job__in=jobs).order_by("job_id", "first_seq")
    stride = Greatest(F("job__last_seq") / (4 * SPARK_POINTS), Value(1))
    train = JobEvent.objects.filter(job__in=jobs, kind=JobEvent.Kind.METRIC, payload__split="train")
    rows = list(train.annotate(slot=F("seq") % stride).filter(slot=0).order_by("job_id", "seq").values_list("job_id", "payload"))
    for job_id, losses_in_it in chunks.values_list("job_id", "spark"):
        losses.setdefault(job_id, []).extend(losses_in_it)
    for job_id, payload in rows:
        if (loss := payload.get("values", {}).get("loss")) is not None:
            losses.setdefault(job_id, []).append(loss)
    return {job_id: _polyline(values) for job_id, values in losses.items() if len(values) > 1}


def _polyline(values: list[float]) -> str:
    values = values[:: max(1, len(values) // SPARK_POINTS)]
    low, high = min(values), max(values)
    across, down = SPARK_WIDTH / (len(values) - 1), (SPARK_HEIGHT - 4) / ((high - low) or 1.0)
    return " ".join(f"{index * across:.1f},{SPARK_HEIGHT - 2 - (value - low) * down:.1f}" for index, value in enumerate(values))
