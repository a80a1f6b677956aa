"""Messages from a worker to whoever waits for them: one Redis stream a request, gone by itself after a while.

The worker publishes, one reader follows from the beginning (so nothing is lost before it listens). A key beside the
stream asks the worker to stop; another one, kept alive by the worker, tells a reader that the silence is work.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

from finetune.core.errors import Unavailable

PREFIX = "aift:stream:"
KEEP_SECONDS = 900  # after the last message
BEAT_SECONDS = 3.0
POLL_SECONDS = 1.0  # longest single wait inside the server; a reader's own time-out is checked between

# Version 2 of the protocol, because its answers have the same shape in every server.
_OPTIONS: dict[str, Any] = {"protocol": 2, "socket_timeout": 10, "socket_connect_timeout": 5}

END = "end"
ERROR = "error"


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, **_OPTIONS)


def put_request(stream: str, body: dict[str, Any]) -> None:
    """Leave the request for the worker that gets its id. Unavailable when Redis does not answer."""
    try:
        connection().set(f"{PREFIX}{stream}:request", json.dumps(body), ex=KEEP_SECONDS)
    except redis.RedisError:
        raise Unavailable("The message broker does not answer. Try again in a moment.", retry_after=5) from None


def take_request(stream: str) -> dict[str, Any] | None:
    """The request, once: a second delivery of the same id finds None."""
    raw = connection().getdel(f"{PREFIX}{stream}:request")
    return json.loads(raw) if raw else None


def publish(stream: str, message: dict[str, Any]) -> None:
    """Append a message. One of type `end` or `error` is the last."""
    with connection().pipeline() as pipe:
        pipe.xadd(f"{PREFIX}{stream}", {"m": json.dumps(message)})
        pipe.expire(f"{PREFIX}{stream}", KEEP_SECONDS)
        pipe.execute()


def cancel(stream: str) -> None:
    """Ask the worker to stop; harmless when it has already ended."""
    connection().set(f"{PREFIX}{stream}:cancel", 1, ex=KEEP_SECONDS)


def is_cancelled(stream: str) -> bool:
    return bool(connection().exists(f"{PREFIX}{stream}:cancel"))


@contextmanager
def beating(*names: str) -> Iterator[None]:
    """While the block runs, `is_beating(name)` is true, whatever the block waits for; soon after a crash it is not."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            with suppress(redis.RedisError):  # the next beat tries again
                for name in names:
                    connection().set(f"{PREFIX}{name}:beat", 1, ex=int(4 * BEAT_SECONDS))
            stop.wait(BEAT_SECONDS)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()  # the keys expire by themselves: another worker may be beating under the same name
        thread.join()


def is_beating(name: str) -> bool:
    return bool(connection().exists(f"{PREFIX}{name}:beat"))


def read(stream: str, *, after: str = "0") -> Iterator[tuple[str, dict[str, Any]] | None]:
    """Messages after an id, each with its id, up to the last one; None whenever a second passed without any."""
    while True:
        answer = connection().xread({f"{PREFIX}{stream}": after}, block=int(POLL_SECONDS * 1000), count=500)
        if not answer:
            yield None
            continue
        for after, message in _messages(answer):
            yield after, message
            if message["type"] in (END, ERROR):
                return


async def aread(stream: str, *, after: str = "0") -> AsyncIterator[tuple[str, dict[str, Any]] | None]:
    """`read` for an event loop."""
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL, **_OPTIONS) as client:
        while True:
            answer = await client.xread({f"{PREFIX}{stream}": after}, block=int(POLL_SECONDS * 1000), count=500)
            if not answer:
                yield None
                continue
            for after, message in _messages(answer):
                yield after, message
                if message["type"] in (END, ERROR):
                    return


def _messages(answer: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for identifier, fields in answer[0][1]:
        yield identifier.decode(), json.loads(fields[b"m"])
