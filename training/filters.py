"""Narrowing a list of jobs: the same words on the page and in the API."""

from __future__ import annotations

from collections.abc import Mapping

from finetune.core.errors import invalid_field
from training.engine.spec import METHODS
from training.executors import EXECUTORS
from training.models import JobQuerySet, TrainingJob


def filter_jobs(jobs: JobQuerySet, wanted: Mapping[str, str]) -> JobQuerySet:
    """The jobs that fit `status` (several with commas), `method`, `executor`, `model_id` and `dataset_id`."""
    known = {"status": TrainingJob.Status.values, "method": list(METHODS), "executor": list(EXECUTORS)}
    for name, choices in known.items():
        if words := [word for word in wanted.get(name, "").split(",") if word]:
            if set(words) - set(choices):
                raise invalid_field(name, f"Choose from: {', '.join(choices)}.")
            jobs = jobs.filter(**{f"{name}__in": words})
    for name in ("model_id", "dataset_id"):
        if text := wanted.get(name, ""):
            jobs = jobs.filter(**{name: whole_number(name, text)})
    return jobs


def whole_number(name: str, text: str) -> int:
    """The text as a number of at least 0; Invalid names the parameter."""
    if not text.isdecimal() or len(text) > 18:
        raise invalid_field(name, "Must be a whole number of at least 0.")
    return int(text)
