"""Messages from a worker to a reader, over a real Redis."""

from __future__ import annotations

import threading
import time
import uuid
from itertools import islice
from typing import Any

import pytest

from finetune.core import streams
from finetune.core.errors import Unavailable


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def messages(entries: Any) -> list[dict[str, Any]]:
    return [entry[1] for entry in entries if entry]


def test_a_late_reader_gets_everything_in_order(name: str) -> None:
    sent = [{"type": "token", "text": str(number)} for number in range(1200)] + [{"type": "end"}]
    for message in sent:
        streams.publish(name, message)
    assert messages(streams.read(name)) == sent


def test_a_reader_can_go_on_where_it_stopped(name: str) -> None:
    for number in range(5):
        streams.publish(name, {"type": "token", "text": str(number)})
    streams.publish(name, {"type": "error", "message": "x"})
    first = list(islice(streams.read(name), 3))
    rest = messages(streams.read(name, after=first[-1][0]))
    assert [message.get("text") for message in rest] == ["3", "4", None]


def test_a_reader_is_told_when_nothing_comes(name: str) -> None:
    assert next(streams.read(name)) is None


def test_a_waiting_reader_gets_messages_as_they_come(name: str) -> None:
    got: list[float] = []

    def read() -> None:
        got.extend(time.monotonic() for entry in streams.read(name) if entry)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.2)
    assert got == []
    sent = time.monotonic()
    streams.publish(name, {"type": "end"})
    reader.join(5)
    assert got[0] - sent < 0.5


async def test_an_event_loop_reads_the_same(name: str) -> None:
    sent = [{"type": "token", "text": "a"}, {"type": "end"}]
    for message in sent:
        streams.publish(name, message)
    assert [entry[1] async for entry in streams.aread(name) if entry] == sent


def test_a_request_is_taken_once(name: str) -> None:
    streams.put_request(name, {"prompt": "hello"})
    assert streams.take_request(name) == {"prompt": "hello"}
    assert streams.take_request(name) is None


def test_a_cancel_is_seen(name: str) -> None:
    assert not streams.is_cancelled(name)
    streams.cancel(name)
    assert streams.is_cancelled(name)


def test_a_beat_is_seen_while_the_work_goes_on_and_ends_with_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.25)
    with streams.beating(name):
        time.sleep(1.5)  # longer than one beat lasts
        assert streams.is_beating(name)
    time.sleep(1.2)
    assert not streams.is_beating(name)


def test_nothing_is_kept_for_ever(name: str) -> None:
    streams.put_request(name, {})
    streams.publish(name, {"type": "end"})
    streams.cancel(name)
    keys = streams.connection().keys(f"{streams.PREFIX}{name}*")
    assert len(keys) == 3
    assert all(0 < streams.connection().ttl(key) <= streams.KEEP_SECONDS for key in keys)


def test_no_broker_is_unavailable(name: str, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    streams.connection.cache_clear()
    try:
        with pytest.raises(Unavailable, match="broker"):
            streams.put_request(name, {})
    finally:
        streams.connection.cache_clear()
