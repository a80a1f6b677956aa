"""A finished run becomes the next version of its model family."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from finetune.core import storage, store
from finetune.core.errors import Conflict, Invalid
from models_app.announce import announce
from models_app.inspect_model import inspect_model
from models_app.models import LanguageModel
from models_app.services.keep_files import keep_files
from models_app.services.number_version import mark_latest, number_version


def register_version(
    *,
    owner: Any,
    family: str,
    base_model: LanguageModel,
    method: str,
    adapter: bool,
    origin: str,
    source_dir: Path,
    metrics: dict[str, Any],
    notes: str = "",
) -> LanguageModel:
    """Keep a run's output directory (adapter or full model) as models/<id>/ and give it the family's next version number.

    `origin` names the run: a second call with it completes or returns the same row, so a repeated delivery is harmless.
    The files are hard-linked (copied across file systems), so the run may be deleted or registered again.
    Invalid when the output is not a readable model; then no version is left behind. Conflict when `origin` is someone else's.
    Unavailable when the shared store does not answer: the version waits for a call that can complete it.
    """
    values = {"base_model": base_model, "method": method, "adapter": adapter, "version_notes": notes, "metrics": metrics}
    version = _row(owner, family, origin, values)
    if version.status == LanguageModel.Status.READY:
        return version
    try:
        store.publish(keep_files(model=version, source_dir=source_dir))
        _complete(version, base_model)
    except (Invalid, OSError):
        _forget(version)
        raise
    mark_latest(owner=owner, family=family)
    version.refresh_from_db()
    announce(version)
    return version


def _row(owner: Any, family: str, origin: str, values: dict[str, Any]) -> LanguageModel:
    """This origin's row, made now unless somebody made it before."""
    fixed = {"name": family, "kind": "fine_tuned", "source": "training", "status": "downloading", "origin": origin}
    try:
        with transaction.atomic():
            return number_version(owner=owner, family=family, **fixed, **values)
    except IntegrityError:
        row = LanguageModel.objects.for_user(owner).filter(origin=origin).first()
        if row is None:
            raise Conflict("This run's model belongs to somebody else.", code="origin_taken") from None
        return row


def _forget(version: LanguageModel) -> None:
    """Leave nothing of a version that could not be completed, unless another call has completed it meanwhile."""
    unready = LanguageModel.objects.filter(pk=version.pk, status=LanguageModel.Status.DOWNLOADING)
    if unready.delete()[0]:
        storage.remove_tree(storage.model_dir(version.pk))


def _complete(version: LanguageModel, base: LanguageModel) -> None:
    """Facts from the files; what an adapter does not know comes from its base."""
    directory = storage.model_dir(version.pk)
    facts = asdict(inspect_model(directory))
    for name in ("architecture", "context_length", "license", "dtype"):
        facts[name] = facts[name] or getattr(base, name)
    path = str(directory.relative_to(settings.DATA_DIR))
    version.move(LanguageModel.Status.READY, when=LanguageModel.Status.DOWNLOADING, path=path, **facts)
