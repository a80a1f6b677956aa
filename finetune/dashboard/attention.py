"""What went wrong in the last days and waits for its owner: failed trainings, data that can't be used, models that did not come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from datasets_app.models import Dataset
from finetune.dashboard.viewer import Viewer
from models_app.models import LanguageModel
from training.models import TrainingJob

DAYS, MOST = 7, 3


@dataclass(frozen=True)
class Trouble:
    """What it is, what is wrong with it, and where to do something about it."""

    name: str
    words: str
    href: str


def troubles(user: Viewer) -> list[Trouble]:
    """The newest of each kind, of the last week. A failed training counts until its resumption or deletion."""
    since = timezone.now() - timedelta(days=DAYS)
    jobs = (
        TrainingJob.objects.for_user(user).filter(status=TrainingJob.Status.FAILED, finished_at__gte=since).order_by("-finished_at")
    )
    data = Dataset.objects.for_user(user).filter(status=Dataset.Status.INVALID, updated_at__gte=since).order_by("-updated_at")
    failed = LanguageModel.objects.for_user(user).filter(status=LanguageModel.Status.FAILED, updated_at__gte=since)
    return [
        *(Trouble(job.name, _failure(job), reverse("job", args=[job.pk])) for job in jobs.only("name", "error")[:MOST]),
        *(Trouble(row.name, _problems(row), reverse("dataset", args=[row.pk])) for row in data.only("name", "errors")[:MOST]),
        *(Trouble(row.name, row.error or "It could not be fetched.", reverse("model", args=[row.pk])) for row in failed[:MOST]),
    ]


def _failure(job: TrainingJob) -> str:
    return (job.error or {}).get("message") or "The training stopped before its end."


def _problems(dataset: Dataset) -> str:
    return f"It can't be used yet: {dataset.errors:,} row{'s have' if dataset.errors != 1 else ' has'} an error."
