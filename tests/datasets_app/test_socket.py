"""The socket of a dataset: its object now and at every change, progress in between, for its owner only."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from datasets_app.announce import announce
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import ingest
from datasets_app.urls import websocket
from tests.datasets_app.conftest import jsonl, pairs, upload_file
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db(transaction=True)


def connect(user: Any, pk: int) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(URLRouter(websocket), f"/ws/datasets/{pk}")
    socket.scope["user"] = user
    return socket


async def close_code(user: Any, pk: int) -> int:
    socket = connect(user, pk)
    await socket.connect()
    message = await socket.receive_output()
    await socket.disconnect()  # left open it may keep the event loop from ending
    return message["code"]


async def test_strangers_and_the_anonymous_are_turned_away(alice: User, charlie: User) -> None:
    dataset = await sync_to_async(make_dataset)(alice)
    assert await close_code(AnonymousUser(), dataset.pk) == 4401
    assert await close_code(charlie, dataset.pk) == 4404
    assert await close_code(alice, dataset.pk + 1) == 4404


async def test_it_tells_reading_from_beginning_to_end(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.formats.convert.REPORT_EVERY", 0)
    upload = upload_file(jsonl(*pairs(500)))
    dataset = await sync_to_async(upload_dataset)(owner=alice, file=upload)
    socket = connect(alice, dataset.pk)
    await socket.connect()
    first = await socket.receive_json_from()
    assert (first["type"], first["dataset"]["status"]) == ("dataset", "uploaded")
    await sync_to_async(ingest, thread_sensitive=False)(dataset.pk)
    messages = [await socket.receive_json_from()]
    while messages[-1].get("dataset", {}).get("status") != "ready":
        messages.append(await socket.receive_json_from())
    assert messages[-1]["dataset"]["rows"] == 500
    progress = [message for message in messages if message["type"] == "progress"]
    assert set(progress[0]) == {"type", "done", "total", "unit", "rate", "eta_seconds"}
    assert progress[-1]["done"] == progress[-1]["total"]
    await socket.disconnect()


async def test_it_answers_a_ping_and_ignores_the_rest(alice: User) -> None:
    dataset = await sync_to_async(make_dataset)(alice)
    socket = connect(alice, dataset.pk)
    await socket.connect()
    await socket.receive_json_from()
    for noise in ("no json", "[1]", "{}", '{"type": "dance"}', "[" * 100_000):
        await socket.send_to(text_data=noise)
    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from() == {"type": "pong"}
    await socket.disconnect()


def test_a_broken_channel_layer_harms_nothing(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["unix:///nowhere/at-all.sock"]}}
    settings.CHANNEL_LAYERS = {"default": layer}
    announce(1)
    assert "could not be told" in caplog.text
