"""Encrypt every stored secret anew with the newest key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.apps import apps
from django.db import models

from finetune.core import crypto
from finetune.core.errors import Conflict

FIELD = "ciphertext"  # encrypted fields have this name, in every app: that is how they are found


@dataclass
class Rotation:
    """How many secrets were encrypted anew, how many had the newest key already, and which rows no key opens."""

    rotated: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def rotate_keys() -> Rotation:
    """Encrypt every secret with the first of FIELD_ENCRYPTION_KEYS unless it is so already. May be cut off and run again.

    A row is written only if it still holds what was read, so that a secret that is saved meanwhile wins. Rows that no key
    opens stay as they are and are named: their owners must enter the secret again.
    """
    done = Rotation()
    for row in encrypted_rows():
        _rotate(row, done)
    return done


def encrypted_rows() -> Iterator[models.Model]:
    """Every row of every model with an encrypted field."""
    for model in apps.get_models():
        if any(item.name == FIELD for item in model._meta.local_fields):
            yield from model._default_manager.exclude(**{FIELD: ""}).order_by("pk").iterator()


def _rotate(row: models.Model, done: Rotation) -> None:
    old = getattr(row, FIELD)
    if crypto.is_current(old):
        done.current += 1
        return
    try:
        new = crypto.rotate(old)
    except Conflict:
        done.unreadable.append(f"{row._meta.verbose_name} {row.pk} ({row})")
        return
    done.rotated += type(row)._default_manager.filter(pk=row.pk, **{FIELD: old}).update(**{FIELD: new})
