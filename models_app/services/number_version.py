"""The next version of a family, and which one is the latest."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Max

from models_app.models import LanguageModel


def number_version(*, owner: Any, family: str, **values: Any) -> LanguageModel:
    """Create a model row as the next version (1, 2, …) of `owner`'s family; not the latest until `mark_latest` says so.

    Two callers never get the same number: on SQLite the transaction holds the only write lock, elsewhere the owner's row is locked.
    """
    with transaction.atomic():
        lock_numbering(owner)
        newest = LanguageModel.objects.for_user(owner).filter(family=family).aggregate(n=Max("version"))["n"] or 0
        return LanguageModel.objects.create(owner=owner, family=family, version=newest + 1, is_latest=False, **values)


def mark_latest(*, owner: Any, family: str, version: LanguageModel | None = None) -> None:
    """Make that version the family's latest one; without one, the highest that is ready (or just the highest)."""
    with transaction.atomic():
        lock_numbering(owner)
        rows = LanguageModel.objects.for_user(owner).filter(family=family)
        best = version or rows.filter(status="ready").order_by("-version").first() or rows.order_by("-version").first()
        if best is not None:
            rows.exclude(pk=best.pk).filter(is_latest=True).update(is_latest=False)
            rows.filter(pk=best.pk).update(is_latest=True)


def lock_numbering(owner: Any) -> None:
    """Serialise this owner's numbering: IMMEDIATE transactions do it on SQLite, a row lock does it on PostgreSQL."""
    get_user_model().objects.select_for_update(of=("self",)).filter(pk=owner.pk).values("pk").first()
