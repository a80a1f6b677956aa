"""A notice board: processes pin what they know now, anybody reads what is still fresh. One Redis hash a board."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from finetune.core.streams import connection

PREFIX = "aift:board:"


def pin(board: str, name: str, notice: dict[str, Any]) -> None:
    """Put up or replace the notice of this name. Raises redis.RedisError when Redis does not answer."""
    connection().hset(f"{PREFIX}{board}", name, json.dumps({"at": time.time(), "notice": notice}))


def unpin(board: str, name: str) -> None:
    """Take a notice down."""
    connection().hdel(f"{PREFIX}{board}", name)


def read(board: str, *, fresh_seconds: float) -> list[dict[str, Any]]:
    """The notices put up within the last seconds, by name, each with `seen_at` (seconds since 1970). Older ones are taken down.

    Empty when Redis does not answer: nobody knows anything then.
    """
    try:
        rows: dict[bytes, bytes] = connection().hgetall(f"{PREFIX}{board}")  # type: ignore[assignment]
        entries = {name.decode(): json.loads(text) for name, text in rows.items()}
        oldest = time.time() - fresh_seconds
        stale = [name for name, entry in entries.items() if entry["at"] < oldest]
        if stale:
            connection().hdel(f"{PREFIX}{board}", *stale)
    except redis.RedisError:
        return []
    return [{**entries[name]["notice"], "seen_at": entries[name]["at"]} for name in sorted(set(entries) - set(stale))]
