"""Narrowing a list of models: the same words on the page and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune.core.errors import invalid_field
from models_app.models import LanguageModel

CHOICES = {"kind": LanguageModel.Kind.values, "status": LanguageModel.Status.values}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def filter_models(rows: Any, wanted: Mapping[str, str]) -> Any:
    """Rows with the wanted kind, status, family and is_latest; empty values don't narrow. Invalid names a value that can't be."""
    for field, choices in CHOICES.items():
        if value := wanted.get(field, ""):
            if value not in choices:
                raise invalid_field(field, f"Choose one of: {', '.join(choices)}.")
            rows = rows.filter(**{field: value})
    if family := wanted.get("family", ""):
        rows = rows.filter(family=family)
    if latest := wanted.get("is_latest", ""):
        if latest.lower() not in BOOLEANS:
            raise invalid_field("is_latest", "Must be true or false.")
        rows = rows.filter(is_latest=BOOLEANS[latest.lower()])
    return rows
