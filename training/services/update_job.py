"""Changes to a draft."""

from __future__ import annotations

from typing import Any

from datasets_app.models import Dataset
from finetune.core.errors import Conflict
from models_app.models import LanguageModel
from training.choices import checked_name, default_split, find_owned
from training.engine.spec import defaults_for
from training.models import TrainingJob
from training.refusals import refuse_config, refuse_devices, refuse_unknown_choice, refuse_unusable
from training.spec_fields import checked_config
from training.spending import checked_budget, refuse_place
from training.tracker_places import checked_reports


def update_job(*, job: TrainingJob, **changes: Any) -> TrainingJob:
    """Change `name`, `model_id`, `dataset_id`, `method`, `executor`, `hardware`, `budget`, `keep_remote`, `report_to`,
    `tracker_places`, `train_split`, `eval_split` or parts of `config`.

    Conflict once the job has been started: it keeps what it was started with. Refuses what create_job refuses.
    """
    if job.status != TrainingJob.Status.DRAFT:
        raise Conflict("This job has been started and can't be changed. Clone it and change the copy.", code="not_a_draft")
    values = _new_values(job, changes)
    if values and not TrainingJob.objects.filter(pk=job.pk, status=TrainingJob.Status.DRAFT).update(**values):
        raise Conflict("This job was started a moment ago and can't be changed any more.", code="not_a_draft")
    job.refresh_from_db()
    return job


def _new_values(job: TrainingJob, changes: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"name": checked_name(changes["name"])} if "name" in changes else {}
    if not set(changes) - {"name"}:
        return values
    values["method"] = changes.get("method", job.method)
    values["executor"] = changes.get("executor", job.executor)
    refuse_unknown_choice(method=values["method"], executor=values["executor"])
    moved = values["executor"] != job.executor
    values["hardware"] = changes.get("hardware", "" if moved else job.hardware)
    values["budget"] = checked_budget(changes.get("budget", job.budget))
    values["keep_remote"] = changes.get("keep_remote", job.keep_remote)
    values |= _new_trackers(job, changes)
    values |= _new_inputs(job, changes)
    parts = {key: values[key] for key in ("method", "model", "dataset", "train_split", "eval_split")}
    refuse_unusable(**parts)
    given = changes.get("config", {})
    values["config"] = checked_config(values["method"], _carried(job, values["method"], given.get("adapter")) | given)
    gpus = values["config"].get("num_gpus", 1)
    refuse_place(owner=job.owner, executor=values["executor"], hardware=values["hardware"], num_gpus=gpus)
    refuse_devices(executor=values["executor"], config=values["config"])
    refuse_config(**{key: values[key] for key in ("method", "executor", "model", "dataset", "eval_split", "config")})
    return values


def _new_trackers(job: TrainingJob, changes: dict[str, Any]) -> dict[str, Any]:
    """A tracker that is no longer named takes its place with it."""
    if not {"report_to", "tracker_places"} & set(changes):
        return {}
    kinds = changes.get("report_to", job.report_to)
    kept = {kind: place for kind, place in job.tracker_places.items() if kind in kinds}
    return checked_reports(job.owner, kinds, changes.get("tracker_places", kept))


def _new_inputs(job: TrainingJob, changes: dict[str, Any]) -> dict[str, Any]:
    model_id, dataset_id = changes.get("model_id", job.model_id), changes.get("dataset_id", job.dataset_id)
    dataset = find_owned(Dataset.objects.all(), job.owner, dataset_id, "dataset_id", "dataset")
    return {
        "model": find_owned(LanguageModel.objects.all(), job.owner, model_id, "model_id", "model"),
        "dataset": dataset,
        "train_split": changes.get("train_split", job.train_split) or default_split(dataset),
        "eval_split": changes.get("eval_split", job.eval_split),
    }


def _carried(job: TrainingJob, method: str, adapter: Any) -> dict[str, Any]:
    """The config so far. With another method or adapter, what was only the old one's default gives way to the new one's, and
    what means nothing to the new method is forgotten."""
    if method == job.method and adapter is None:
        return job.config
    old, new = defaults_for(job.method, job.config.get("adapter")), defaults_for(method)
    return {key: value for key, value in job.config.items() if key in new and (key not in old or value != old[key])}
