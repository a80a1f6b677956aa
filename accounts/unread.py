"""How many notifications a person has not read, kept in the cache: every page shows it."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from accounts.notice_models import Notification

SECONDS = 300


def count(user: Any) -> int:
    """At most five minutes old; exact after `forget`."""
    return cache.get_or_set(_key(user.pk), lambda: Notification.objects.for_user(user).filter(read_at=None).count(), SECONDS) or 0


def forget(pk: int) -> None:
    """Something was told or read."""
    cache.delete(_key(pk))


def _key(pk: int) -> str:
    return f"unread:{pk}"
