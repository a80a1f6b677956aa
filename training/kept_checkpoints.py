"""The checkpoints of a person's jobs that can still be asked.

models_app asks for them by name (settings.CHECKPOINTS_MODULE): jobs lie above it.
"""

from __future__ import annotations

from typing import Any

from finetune.core import storage, store
from models_app.models import LanguageModel
from training.models import JobEvent, TrainingJob
from training.services.list_run_files import checkpoint_row

MOST_JOBS = 20


def find_base(user: Any, job_id: int) -> tuple[str, LanguageModel] | None:
    """(name, base model) of one of the person's jobs; None when it is not theirs."""
    job = TrainingJob.objects.for_user(user).filter(pk=job_id).select_related("model__base_model").first()
    return (job.name, job.model) if job else None


def list_kept(user: Any) -> list[dict[str, Any]]:
    """[{job, name, steps}] of the newest jobs that have checkpoints on the disk, newest first, steps from last to first."""
    jobs = TrainingJob.objects.for_user(user).exclude(status__in=(TrainingJob.Status.DRAFT, TrainingJob.Status.QUEUED))
    names = dict(jobs.order_by("-pk").values_list("pk", "name")[:MOST_JOBS])
    events = JobEvent.objects.filter(job__in=list(names), kind=JobEvent.Kind.CHECKPOINT).order_by("-seq")
    steps: dict[int, dict[int, None]] = {pk: {} for pk in names}
    there = {path for pk in names for path in store.published(storage.job_dir(pk))} if store.is_shared() else ()
    for event in events:
        row = checkpoint_row(event, there)
        if row["kept"]:
            steps[event.job_id][row["step"]] = None
    return [{"job": pk, "name": names[pk], "steps": list(found)} for pk, found in steps.items() if found]
