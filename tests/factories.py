"""Rows for tests: plain functions with the least that is valid."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils import timezone

from accounts.models import User
from datasets_app.models import Dataset
from models_app.models import LanguageModel
from training.engine.spec import defaults_for
from training.models import JobEvent, JobTemplate, TrainingJob


def make_dataset(owner: User, *, rows: int = 8, **values: Any) -> Dataset:
    """A ready chat dataset with its normalised rows on disk."""
    defaults = {"name": "greetings", "status": "ready", "format": "openai", "kind": "sft", "source_name": "greetings.jsonl"}
    dataset = Dataset.objects.create(owner=owner, **{**defaults, "rows": rows, "splits": {"train": rows}, **values})
    messages = [
        [{"role": "user", "content": f"Say {number}"}, {"role": "assistant", "content": f"Here is {number}."}]
        for number in range(rows)
    ]
    dataset.directory.mkdir(parents=True, exist_ok=True)
    table = pa.table({"line": list(range(1, rows + 1)), "messages": [json.dumps(row) for row in messages]})
    pq.write_table(table, dataset.rows_file)
    return dataset


def make_base_model(owner: User, **values: Any) -> LanguageModel:
    """A base model that says it is ready; it has no weights."""
    defaults = {
        "name": "tiny-base",
        "kind": "base",
        "source": "sample",
        "status": "ready",
        "family": "tiny-base",
        "parameters": 100_000,
    }
    return LanguageModel.objects.create(owner=owner, **{**defaults, **values})


def make_version(owner: User, *, base: LanguageModel | None = None, **values: Any) -> LanguageModel:
    """A fine-tuned version; it has no weights."""
    base = base or make_base_model(owner)
    defaults = {"name": "tuned", "kind": "fine_tuned", "source": "training", "status": "ready", "family": "tuned", "adapter": True}
    return LanguageModel.objects.create(owner=owner, base_model=base, **{**defaults, **values})


def make_job(owner: User, *, model: LanguageModel | None = None, dataset: Dataset | None = None, **values: Any) -> TrainingJob:
    """A draft job on a ready model and dataset."""
    method = values.pop("method", "lora")
    return TrainingJob.objects.create(
        owner=owner,
        model=model or make_base_model(owner),
        dataset=dataset or make_dataset(owner),
        **{"name": "first run", "method": method, "config": defaults_for(method), **values},
    )


def make_template(owner: User, **values: Any) -> JobTemplate:
    return JobTemplate.objects.create(owner=owner, **{"name": "mine", "method": "lora", "config": {"lora_r": 4}, **values})


def make_event(job: TrainingJob, seq: int, kind: str = "metric", **payload: Any) -> JobEvent:
    """One event row; the job's cursor moves along."""
    event = JobEvent.objects.create(job=job, seq=seq, attempt=max(job.attempt, 1), kind=kind, time=timezone.now(), payload=payload)
    TrainingJob.objects.filter(pk=job.pk).update(last_seq=seq)
    return event
