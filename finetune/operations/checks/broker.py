"""Valkey or Redis answers and keeps what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import redis
from django.conf import settings

from finetune.core.logs import redact
from finetune.operations.findings import BAD, OK, WARN, Finding

NAME = "broker"


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """A client that gives up after 3 s."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3, protocol=2)


def unreachable() -> str:
    """Why nothing can be asked of the broker; empty when it answers."""
    try:
        client().ping()
    except redis.RedisError as error:
        return redact(str(error)) or type(error).__name__
    return ""


def examine() -> Iterator[Finding]:
    if trouble := unreachable():
        text = f"The broker at {redact(settings.REDIS_URL)} does not answer: {trouble}"
        yield Finding(
            NAME, BAD, text, "Start it (`make run` starts its own), or look at REDIS_URL. Jobs wait until then; none is lost."
        )
        return
    found = client().info()
    yield Finding(NAME, OK, f"{found.get('server_name', 'redis')} {found.get('valkey_version', found['redis_version'])} answers.")
    yield from _keeping(found)


def _keeping(found: dict) -> Iterator[Finding]:
    policy = str(found.get("maxmemory_policy", ""))
    if policy != "noeviction":
        text = f"When memory is full the broker throws messages away ({policy})."
        yield Finding(NAME, BAD, text, "Set `maxmemory-policy noeviction` in its configuration.")
    if not found.get("aof_enabled"):
        text = "The broker keeps no append-only file: a restart loses waiting messages (reconcile sends those of jobs again)."
        yield Finding(NAME, WARN, text, "Set `appendonly yes` in its configuration.")
    elif found.get("aof_last_write_status") != "ok":
        yield Finding(NAME, BAD, "The broker can't write its append-only file.", "Look at its disk and its log.")
