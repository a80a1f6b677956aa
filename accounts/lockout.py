"""After too many wrong passwords for one account from one place, that place waits. The account's own people elsewhere don't:
nobody can lock somebody else out. Counted in the shared cache, so that pages, API and every process see one counter."""

from __future__ import annotations

import hashlib
import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest  # noqa: TID251 (a surface's helper: it needs the caller's address)

from finetune.core.client_address import network_of

WINDOW = 15 * 60  # seconds in which failures are counted
FIRST_WAIT, LONGEST_WAIT = 30, 15 * 60  # doubled with each further failure


def seconds_locked(request: HttpRequest, name: str) -> int:
    """How long this caller has to wait before another password for this name is looked at; 0 when it may try."""
    until = cache.get(f"{_key(request, name)}:wait")
    return max(1, int(until - time.time())) if until else 0


def count_failure(request: HttpRequest, name: str) -> None:
    """One more wrong password. From LOCKOUT_FAILURES on each one starts a wait, twice as long as the one before."""
    if not settings.LOCKOUT_FAILURES:
        return
    key = _key(request, name)
    cache.add(key, 0, WINDOW)
    try:
        failures = cache.incr(key)
    except ValueError:  # it ran out between the two
        cache.set(key, 1, WINDOW)
        return
    if failures >= settings.LOCKOUT_FAILURES:
        wait = min(FIRST_WAIT * 2 ** min(failures - settings.LOCKOUT_FAILURES, 10), LONGEST_WAIT)
        cache.touch(key, WINDOW)
        cache.set(f"{key}:wait", time.time() + wait, wait)


def forget_failures(request: HttpRequest, name: str) -> None:
    """The right password was given."""
    key = _key(request, name)
    cache.delete_many([key, f"{key}:wait"])


def _key(request: HttpRequest, name: str) -> str:
    place = network_of(request.META.get("REMOTE_ADDR", ""))
    digest = hashlib.sha256(f"{place}|{name.strip().casefold()}".encode()).hexdigest()[:32]
    return f"lockout:{digest}"
