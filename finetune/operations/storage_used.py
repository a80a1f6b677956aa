"""The storage figures of pages: measured on the disk at most once in ten minutes, since that looks at every file."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.cache import cache

from accounts.models import User
from finetune.operations.services.measure_storage import measure_storage

KEEP_SECONDS = 600


def storage_of(user: User) -> dict[str, int]:
    """{datasets, models, runs, total} in bytes."""
    return _kept(f"storage-used-{user.pk}", lambda: measure_storage(user=user)[user.pk])


def storage_of_everybody() -> dict[int, dict[str, int]]:
    """The same by user id."""
    return _kept("storage-used-by-everybody", measure_storage)


def _kept(key: str, measure: Any) -> Any:
    """From the cache; a broker that is down only means to look again."""
    with suppress(Exception):
        if (found := cache.get(key)) is not None:
            return found
    found = measure()
    with suppress(Exception):
        cache.set(key, found, KEEP_SECONDS)
    return found
