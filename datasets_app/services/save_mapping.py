"""Keep a mapping under a name, to use it again."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from datasets_app.formats.mapping import MappingError, read_mapping
from datasets_app.models import SavedMapping
from finetune.core.errors import invalid_field

MOST = 200


def save_mapping(*, owner: User, name: str, mapping: str | dict[str, Any]) -> SavedMapping:
    """The saved mapping; one of the same name is replaced. Refuses an empty name, a mapping that is empty or makes no sense,
    and more than MOST of them (Invalid)."""
    if not name.strip() or len(name.strip()) > 100:
        raise invalid_field("name", "Give the mapping a name of at most 100 characters.")
    try:
        fields = read_mapping(mapping)
    except MappingError as error:
        raise invalid_field("mapping", str(error)) from None
    if not fields:
        raise invalid_field("mapping", "The mapping is empty: there is nothing to save.")
    if SavedMapping.objects.filter(owner=owner).exclude(name=name.strip()).count() >= MOST:
        raise invalid_field("name", f"You have {MOST} mappings already. Delete one first.")
    saved, _ = SavedMapping.objects.update_or_create(owner=owner, name=name.strip(), defaults={"mapping": fields})
    return saved
