"""{% storage_used user as used %}: what the settings page shows of somebody's files."""

from __future__ import annotations

from django import template

from accounts.models import User
from finetune.operations.storage_used import storage_of

register = template.Library()


@register.simple_tag
def storage_used(user: User) -> dict[str, int]:
    """{datasets, models, runs, total} in bytes, at most ten minutes old."""
    return storage_of(user)
