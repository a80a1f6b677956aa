"""Delete a model that nothing needs any more."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from finetune.core import storage
from finetune.core.errors import Conflict
from models_app import hub_transfer
from models_app.models import LanguageModel
from models_app.services.number_version import mark_latest


def delete_model(*, model: LanguageModel) -> None:
    """Delete the row and, after the commit, the files we made; files in the Hub cache stay for other programs.

    Conflict while versions are built on it or jobs start from it, or while it is downloading.
    """
    _check_unused(model)
    owner, family, pk = model.owner, model.family, model.pk
    exports = list(model.exports.values_list("pk", flat=True))
    try:
        with transaction.atomic():
            model.delete()
            _mark_latest_left(owner, family)
            transaction.on_commit(partial(hub_transfer.remove_model_files, pk), robust=True)
            for export in exports:
                transaction.on_commit(partial(storage.remove_tree, storage.export_dir(export)), robust=True)
    except ProtectedError:  # somebody began to use it between the check and the deletion
        raise Conflict(f"“{model}” has just come into use. Reload and look again.", code="model_in_use") from None


def _check_unused(model: LanguageModel) -> None:
    if model.status == LanguageModel.Status.DOWNLOADING:
        words = (
            "being downloaded. Cancel that first."
            if model.source == LanguageModel.Source.HUB
            else "being made. Wait until it is ready."
        )
        raise Conflict(f"“{model}” is still {words}", code="model_busy")
    derived = [str(version) for version in model.derived.all()[:3]]
    if derived:
        raise Conflict(f"“{model}” is the base of {_list(derived)}. Delete those versions first.", code="model_in_use")
    jobs = list(model.jobs.all()[:3])  # type: ignore[attr-defined]  # training.TrainingJob.model
    if any(job.is_active for job in model.jobs.all()):  # type: ignore[attr-defined]
        raise Conflict(f"A training job is using “{model}”. Cancel it or wait for its end.", code="model_in_use")
    if jobs:
        names = _list([f"“{job}”" for job in jobs])
        raise Conflict(f"“{model}” is the base of the job {names}. Delete the job first.", code="model_in_use")


def _list(names: list[str]) -> str:
    return ", ".join(names)


def _mark_latest_left(owner: Any, family: str) -> None:
    """If the family lost its latest version, the highest one left takes its place."""
    if not LanguageModel.objects.filter(owner=owner, family=family, is_latest=True).exists():
        mark_latest(owner=owner, family=family)
