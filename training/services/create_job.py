"""A new draft: what to train, on what, how."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.errors import invalid_field
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.choices import checked_name, default_split, find_owned
from training.job_defaults import config_for, defaults_of
from training.models import TrainingJob
from training.refusals import refuse_config, refuse_devices, refuse_unknown_choice, refuse_unusable
from training.services.start_job import start_job
from training.spec_fields import checked_config
from training.spending import checked_budget, refuse_place
from training.start_facts import facts_at_start
from training.template_list import find_template
from training.tracker_places import checked_reports

KEY_LENGTH = 200


def create_job(
    *,
    owner: User,
    name: str,
    model_id: int | None,
    dataset_id: int | None,
    method: str = "",
    executor: str = "",
    hardware: str = "",
    budget: Any = None,
    keep_remote: bool = False,
    train_split: str = "",
    eval_split: str = "",
    config: dict[str, Any] | None = None,
    template_id: str | None = None,
    report_to: Collection[str] | None = None,
    tracker_places: dict[str, Any] | None = None,
    use_defaults: bool = False,
    start: bool = False,
    confirm_cost: bool = False,
    idempotency_key: str | None = None,
) -> TrainingJob:
    """A draft job of `owner`, or a queued one with `start`. The same idempotency key gives the job it made before.

    A template gives the method and options; what is named beside it comes before it, and the owner's own defaults (with
    `use_defaults`) come after both. Without an executor it runs here. Curves go to the trackers of `report_to`, with
    `tracker_places` to {tracker: {project, entity, name, tags}} there.
    Invalid, naming the field: a model or dataset that is missing, not the owner's, not ready or unfit for the method;
    an unknown method, executor, split or template; a config value that is unknown or out of range; more GPUs than there are; a
    provider that can't be used now, its `hardware`, a `budget` (USD) that is none. With `start`, also what start_job refuses.
    """
    if existing := _made_with(owner, idempotency_key):
        return existing
    method, config = _with_template(owner, template_id, method, config or {})
    if use_defaults:
        method, executor, hardware, config, report_to = _with_defaults(owner, method, executor, hardware, config, report_to)
    executor = executor or "local"
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
        "hardware": hardware,
        "budget": checked_budget(budget),
        "keep_remote": keep_remote,
        "train_split": train_split,
        "eval_split": eval_split,
        **checked_reports(owner, report_to or (), tracker_places or {}),
        "config": checked_config(method, config),
    }
    refuse_place(owner=owner, executor=executor, hardware=hardware, num_gpus=values["config"].get("num_gpus", 1))
    refuse_devices(executor=executor, config=values["config"])
    refuse_config(**{key: values[key] for key in ("method", "executor", "model", "dataset", "eval_split", "config")})
    return _insert(owner, values, start, idempotency_key or None, confirm_cost)


def _with_defaults(
    owner: User, method: str, executor: str, hardware: str, config: dict[str, Any], report_to: Any
) -> tuple[Any, ...]:
    """The same, and the owner's defaults where nothing was said. Hardware belongs to its place."""
    mine = defaults_of(owner)
    method, report_to = method or mine.method, mine.report_to if report_to is None else report_to
    if executor in ("", mine.executor):
        hardware = hardware or mine.hardware
    return method, executor or mine.executor, hardware, config_for(mine, method) | config, report_to


def _with_template(owner: User, template_id: str | None, method: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method and options after the template, if one was named."""
    if not template_id:
        return method, config
    template = find_template(owner, template_id)
    if template is None:
        raise invalid_field("template_id", f"There is no template {template_id}.")
    if method and method != template.method:
        words = f"“{template.name}” is a template for {method_words(template.method)}, not for {method_words(method)}."
        raise invalid_field("template_id", f"{words} Leave the method out or choose another template.")
    return template.method, template.config | config


def _insert(owner: User, values: dict[str, Any], start: bool, key: str | None, confirm_cost: bool) -> TrainingJob:
    job = TrainingJob(owner=owner, idempotency_key=key, **values)
    if start:  # looked up before the transaction, which on SQLite lets nobody else write
        for field, value in facts_at_start(job).items():
            setattr(job, field, value)
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            return start_job(job=job, confirm_cost=confirm_cost) if start else job
    except IntegrityError:  # the same key, a moment earlier
        existing = _made_with(owner, key)
        if existing is None:
            raise
        return existing


def _made_with(owner: User, key: str | None) -> TrainingJob | None:
    """The job that was made with this key before."""
    if key and len(key) > KEY_LENGTH:
        raise invalid_field("Idempotency-Key", f"At most {KEY_LENGTH} characters.")
    return TrainingJob.objects.for_user(owner).filter(idempotency_key=key).first() if key else None
