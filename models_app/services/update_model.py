"""Rename a model, or change what is written about it."""

from __future__ import annotations

from finetune.core.errors import invalid_field
from models_app.announce import announce
from models_app.models import LanguageModel


def update_model(
    *, model: LanguageModel, name: str | None = None, version_tag: str | None = None, version_notes: str | None = None
) -> LanguageModel:
    """Change what is given, keep the rest. Invalid (field `name`) for an empty name."""
    if name is not None and not name.strip():
        raise invalid_field("name", "Give the model a name.")
    changes = {"name": name, "version_tag": version_tag, "version_notes": version_notes}
    given = {field: value.strip() for field, value in changes.items() if value is not None}
    for field, value in given.items():
        setattr(model, field, value)
    model.save(update_fields=[*given, "updated_at"])
    announce(model)
    return model
