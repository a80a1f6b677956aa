"""Narrowing a list of datasets: the same words on the page and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets_app.models import Dataset
from finetune.core.errors import invalid_field

CHOICES = {"status": Dataset.Status.values, "format": Dataset.Format.values, "kind": Dataset.Kind.values}
SEARCHED = ("name", "description", "source_name")
SORTED_BY = ("name", "created_at", "updated_at", "rows", "bytes", "status", "format")


def filter_datasets(rows: Any, wanted: Mapping[str, str]) -> Any:
    """Rows with the wanted status, format and kind; empty values don't narrow. Invalid names a value that can't be."""
    for field, choices in CHOICES.items():
        if value := wanted.get(field, ""):
            if value not in choices:
                raise invalid_field(field, f"Choose one of: {', '.join(choices)}.")
            rows = rows.filter(**{field: value})
    return rows
