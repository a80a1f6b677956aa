"""What a version is called, and whether it is the one its family stands for."""

from __future__ import annotations

from finetune.core.errors import Conflict, invalid_field
from models_app.models import LanguageModel
from models_app.services.number_version import mark_latest
from models_app.services.update_model import update_model


def update_version(
    *, model: LanguageModel, version_tag: str | None = None, version_notes: str | None = None, is_latest: bool | None = None
) -> LanguageModel:
    """Change tag or notes, and make this version the family's latest (`is_latest=True`).

    Invalid (field `is_latest`) when asked to take it from the latest: a family always has one, so mark another instead.
    Conflict when the version is not ready.
    """
    if is_latest is False and model.is_latest:
        raise invalid_field("is_latest", "A family always has a latest version. Mark another one as latest instead.")
    if is_latest and model.status != LanguageModel.Status.READY:
        raise Conflict(f"“{model}” is not ready, so it can't be the latest version.", code="model_not_ready")
    if is_latest:
        mark_latest(owner=model.owner, family=model.family, version=model)
        model.refresh_from_db(fields=["is_latest"])
    return update_model(model=model, version_tag=version_tag, version_notes=version_notes)
