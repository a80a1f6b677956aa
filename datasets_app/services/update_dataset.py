"""Rename or describe a dataset."""

from __future__ import annotations

from datasets_app.models import Dataset
from finetune.core.errors import invalid_field


def update_dataset(*, dataset: Dataset, name: str | None = None, description: str | None = None) -> Dataset:
    """Change what is given; None leaves a field as it is. Refuses an empty name. The rows stay as they are."""
    if name is not None:
        if not name.strip():
            raise invalid_field("name", "Give the dataset a name.")
        dataset.name = name.strip()
    if description is not None:
        dataset.description = description
    dataset.save(update_fields=["name", "description", "updated_at"])
    return dataset
