"""Forget a saved mapping."""

from __future__ import annotations

from datasets_app.models import SavedMapping


def delete_mapping(*, mapping: SavedMapping) -> None:
    """Remove it. Datasets that were read with it keep their own copy. Refuses nothing."""
    mapping.delete()
