"""A new draft: what to train, on what, how."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.errors import invalid_field
from finetune.core.querysets import OwnedQuerySet
from models_app.models import LanguageModel
from training.models import TrainingJob
from training.refusals import refuse_unknown_choice, refuse_unusable
from training.services.start_job import start_job
from training.spec_fields import checked_config

KEY_LENGTH = 200


def create_job(
    *,
    owner: User,
    name: str,
    model_id: int | None,
    dataset_id: int | None,
    method: str,
    executor: str = "local",
    train_split: str = "",
    eval_split: str = "",
    config: dict[str, Any] | None = None,
    start: bool = False,
    idempotency_key: str | None = None,
) -> TrainingJob:
    """A draft job of `owner`, or a queued one with `start`. The same idempotency key gives the job it made before.

    Invalid, naming the field: a model or dataset that is missing, not the owner's, not ready or unfit for the method;
    an unknown method, executor or split; a config value that is unknown or out of range.
    """
    if idempotency_key and len(idempotency_key) > KEY_LENGTH:
        raise invalid_field("Idempotency-Key", f"At most {KEY_LENGTH} characters.")
    if idempotency_key and (existing := _made_with(owner, idempotency_key)):
        return existing
    refuse_unknown_choice(method=method, executor=executor)
    model = find_owned(LanguageModel.objects.all(), owner, model_id, "model_id", "model")
    dataset = find_owned(Dataset.objects.all(), owner, dataset_id, "dataset_id", "dataset")
    train_split = train_split or default_split(dataset)
    refuse_unusable(method=method, model=model, dataset=dataset, train_split=train_split, eval_split=eval_split)
    values = {
        "name": checked_name(name),
        "model": model,
        "dataset": dataset,
        "method": method,
        "executor": executor,
        "train_split": train_split,
        "eval_split": eval_split,
        "config": checked_config(method, config or {}),
    }
    return _insert(owner, values, start, idempotency_key or None)


def _insert(owner: User, values: dict[str, Any], start: bool, key: str | None) -> TrainingJob:
    try:
        with transaction.atomic():
            job = TrainingJob.objects.create(owner=owner, idempotency_key=key, **values)
            return start_job(job=job) if start else job
    except IntegrityError:  # the same key, a moment earlier
        existing = _made_with(owner, key)
        if existing is None:
            raise
        return existing


def _made_with(owner: User, key: str | None) -> TrainingJob | None:
    return TrainingJob.objects.for_user(owner).filter(idempotency_key=key).first() if key else None


def find_owned(rows: OwnedQuerySet, owner: User, pk: int | None, field: str, word: str) -> Any:
    """The row with this id if it is the owner's. Somebody else's and a missing one are refused in the same words."""
    found = rows.for_user(owner).filter(pk=pk).first() if pk is not None else None
    if found is None:
        raise invalid_field(field, f"Choose one of your {word}s." if pk is None else f"There is no {word} {pk}.")
    return found


def default_split(dataset: Dataset) -> str:
    """The split to learn from when none is named."""
    return "train" if "train" in dataset.splits or not dataset.splits else next(iter(dataset.splits))


def checked_name(name: str) -> str:
    """The name without outer blanks; Invalid when nothing is left or it is too long."""
    name = name.strip()
    if not name:
        raise invalid_field("name", "Give the job a name.")
    if len(name) > 200:
        raise invalid_field("name", "At most 200 characters.")
    return name
