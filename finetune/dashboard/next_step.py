"""The one thing worth doing next, for the person who looks at the home page."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from datasets_app.models import Dataset
from finetune.dashboard.viewer import Viewer
from models_app.models import LanguageModel
from training.models import TrainingJob


@dataclass(frozen=True)
class NextStep:
    """A heading, one sentence, and the link that does it."""

    title: str
    text: str
    href: str
    action: str


def next_step(user: Viewer) -> NextStep | None:
    """What is missing on the way from data to a tuned model; None while a job runs and the person can just watch."""
    jobs = TrainingJob.objects.for_user(user)
    if jobs.active().exists():
        return None
    if newest := jobs.select_related("output_model").first():
        return _after(newest)
    dataset = Dataset.objects.for_user(user).filter(status=Dataset.Status.READY).first()
    if not dataset:
        text = "JSON, JSONL or CSV. The format is found for you, and bad rows are reported with their line."
        return NextStep("Add your data", text, reverse("dataset-upload"), "Upload a dataset")
    model = LanguageModel.objects.for_user(user).filter(status=LanguageModel.Status.READY, kind=LanguageModel.Kind.BASE).first()
    if not model:
        return NextStep("Choose a base model", "It is what your data will be taught to.", reverse("models"), "Choose a model")
    text = f"Fine-tune {model.name} on {dataset.name}. The defaults fit; you can change every one of them."
    href = f"{reverse('job-new')}?{urlencode({'model': model.pk, 'dataset': dataset.pk})}"
    return NextStep("Ready to train", text, href, "Set up a training")


def _after(job: TrainingJob) -> NextStep | None:
    """What follows the newest job."""
    if job.status == TrainingJob.Status.SUCCEEDED and job.output_model:
        text = f"{job.name} has finished. Ask the tuned model something and compare it with its base."
        return NextStep(f"Try {job.output_model}", text, reverse("model", args=[job.output_model.pk]), "Try the model")
    if job.status == TrainingJob.Status.DRAFT:
        return NextStep(
            "Start your draft", f"{job.name} is set up and waits for you.", reverse("job", args=[job.pk]), "Open the draft"
        )
    if job.status == TrainingJob.Status.FAILED:
        text = (job.error or {}).get("message") or f"{job.name} stopped before its end."
        return NextStep("The last training failed", text, reverse("job", args=[job.pk]), "See what happened")
    return None
