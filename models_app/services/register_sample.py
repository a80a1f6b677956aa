"""The sample base model that needs no network: one for each person."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from finetune.core import store
from models_app.announce import announce
from models_app.inspect_model import inspect_model
from models_app.models import LanguageModel
from models_app.services.keep_files import keep_files
from models_app.services.number_version import lock_numbering, mark_latest, number_version

NAME = "Sample base"
FAMILY = "sample-base"


def reserve_sample(*, owner: Any) -> LanguageModel:
    """The owner's sample model row: `downloading` while its files are being made, the same row every time."""
    with transaction.atomic():
        lock_numbering(owner)
        existing = LanguageModel.objects.for_user(owner).filter(source=LanguageModel.Source.SAMPLE).first()
        if existing:
            existing.move(LanguageModel.Status.DOWNLOADING, when=LanguageModel.Status.FAILED)
            return existing
        model = number_version(owner=owner, family=FAMILY, name=NAME, kind="base", source="sample", status="downloading")
    mark_latest(owner=owner, family=FAMILY)
    return model


def register_sample(*, owner: Any, directory: Path) -> LanguageModel:
    """Keep the made sample model as the owner's and make it ready; a second call returns the row as it is.

    Invalid when the directory holds no readable model; then the row stays as it was.
    """
    model = reserve_sample(owner=owner)
    if model.status == LanguageModel.Status.READY:
        return model
    facts = asdict(inspect_model(directory))
    kept = keep_files(model=model, source_dir=directory)
    store.publish(kept)
    values = {"path": str(kept.relative_to(settings.DATA_DIR)), "progress": None, **facts}
    model.move(LanguageModel.Status.READY, when=LanguageModel.Status.DOWNLOADING, **values)
    announce(model)
    return model
