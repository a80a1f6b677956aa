"""The model's sockets."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from finetune.core import storage, streams
from models_app.announce import announce
from models_app.models import LanguageModel
from models_app.services.update_model import update_model
from models_app.urls import websocket
from tests.factories import make_base_model

pytestmark = pytest.mark.django_db(transaction=True)


def connect(path: str, user: Any) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(URLRouter(websocket), path)
    communicator.scope["user"] = user
    return communicator


@pytest.fixture
def alice(transactional_db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org")


@pytest.fixture
def charlie(transactional_db: None) -> User:
    return User.objects.create_user("charlie", "charlie@example.org")


@pytest.fixture
def model(alice: User, tiny_dir: Path) -> LanguageModel:
    model = make_base_model(alice)
    shutil.copytree(tiny_dir, storage.model_dir(model.pk))
    return model


async def test_a_model_is_asked_by_its_reference(inference_worker: None, model: LanguageModel, alice: User, charlie: User) -> None:
    body = {"source": f"model-{model.pk}", "messages": [{"role": "user", "content": "Say hello"}], "max_new_tokens": 4}
    socket = connect("/ws/ask", alice)
    await socket.connect()
    await socket.send_json_to({**body, "stop": ["never"], "top_p": 0.9, "seed": 4})
    found = []
    while not found or found[-1]["type"] not in ("end", "error"):
        found.append(await socket.receive_json_from(60))
    assert [message["type"] for message in found][-2:] == ["done", "end"]
    assert found[-2]["first_token_seconds"] > 0
    await socket.disconnect()
    socket = connect("/ws/ask", charlie)
    await socket.connect()
    for source in (body["source"], "job-1-step-1", "model-x", "../etc"):
        await socket.send_json_to({**body, "source": source})
        message = await socket.receive_json_from(5)
        assert (message["type"], list(message["fields"])) == ("error", ["source"])
    await socket.disconnect()
    socket = connect("/ws/ask", AnonymousUser())
    await socket.connect()
    assert await socket.receive_output() == {"type": "websocket.close", "code": 4401}
    await socket.disconnect()


@pytest.mark.parametrize("path", ["/ws/models/{}", "/ws/models/{}/test"])
async def test_only_its_owner_gets_in(path: str, model: LanguageModel, charlie: User) -> None:
    for user, code in ((AnonymousUser(), 4401), (charlie, 4404)):
        socket = connect(path.format(model.pk), user)
        assert (await socket.connect())[0]
        assert await socket.receive_output() == {"type": "websocket.close", "code": code}
        await socket.disconnect()


async def test_it_sends_the_model_now_and_at_every_change(model: LanguageModel, alice: User) -> None:
    socket = connect(f"/ws/models/{model.pk}", alice)
    await socket.connect()
    assert (await socket.receive_json_from(5))["model"]["name"] == "tiny-base"
    await sync_to_async(update_model)(model=model, name="renamed")
    message = await socket.receive_json_from(5)
    assert (message["type"], message["model"]["name"]) == ("model", "renamed")
    await sync_to_async(announce)(model, progress={"done": 1, "total": 2, "unit": "bytes"})
    assert await socket.receive_json_from(5) == {"type": "progress", "done": 1, "total": 2, "unit": "bytes"}
    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from(5) == {"type": "pong"}
    await socket.send_to(text_data="not json")
    await socket.send_json_to({"type": "unknown"})
    assert await socket.receive_nothing(0.2)
    await socket.disconnect()


async def test_a_quiet_socket_stays_open(model: LanguageModel, alice: User) -> None:
    """Longer than one blocking wait for the channel layer's next message (5 s)."""
    socket = connect(f"/ws/models/{model.pk}", alice)
    await socket.connect()
    await socket.receive_json_from(5)
    await asyncio.sleep(6.5)
    await sync_to_async(update_model)(model=model, name="renamed late")
    assert (await socket.receive_json_from(5))["model"]["name"] == "renamed late"
    await socket.disconnect()


@pytest.mark.engine
async def test_it_streams_an_answer(inference_worker: None, model: LanguageModel, alice: User) -> None:
    socket = connect(f"/ws/models/{model.pk}/test", alice)
    await socket.connect()
    for _ in range(2):  # the socket takes one prompt after the other
        await socket.send_json_to({"prompt": "Say hello", "max_new_tokens": 6, "temperature": 0})
        types = []
        while not types or types[-1] not in ("end", "error"):
            types.append((await socket.receive_json_from(60))["type"])
        assert types[0] == "started"
        assert types[-2:] == ["done", "end"]
        assert "token" in types
    await socket.disconnect()


async def test_it_refuses_in_words_and_stays_open(model: LanguageModel, alice: User) -> None:
    socket = connect(f"/ws/models/{model.pk}/test", alice)
    await socket.connect()
    for body, field in (({"prompt": ""}, "prompt"), ({"prompt": "a", "temperature": 9}, "temperature"), ({}, "prompt")):
        await socket.send_json_to(body)
        message = await socket.receive_json_from(5)
        assert (message["type"], message["code"], list(message["fields"])) == ("error", "invalid", [field])
        assert message["message"]
    await socket.disconnect()


async def wait_for_request(socket: WebsocketCommunicator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send a prompt nobody answers; its request's id."""
    ids: list[str] = []
    real = streams.put_request
    monkeypatch.setattr(streams, "put_request", lambda name, body: (ids.append(name), real(name, body)))
    await socket.send_json_to({"prompt": "hello"})
    while not ids:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    return ids[0]


async def test_closing_stops_the_generation(model: LanguageModel, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = connect(f"/ws/models/{model.pk}/test", alice)
    await socket.connect()
    request_id = await wait_for_request(socket, monkeypatch)
    assert not streams.is_cancelled(request_id)
    await socket.disconnect()
    assert streams.is_cancelled(request_id)


async def test_stop_ends_the_answer_and_a_second_prompt_has_to_wait(
    model: LanguageModel, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = connect(f"/ws/models/{model.pk}/test", alice)
    await socket.connect()
    request_id = await wait_for_request(socket, monkeypatch)
    await socket.send_json_to({"prompt": "and another"})
    assert (await socket.receive_json_from(5))["code"] == "busy"
    await socket.send_json_to({"type": "stop"})
    await asyncio.sleep(0.2)
    assert streams.is_cancelled(request_id)
    await socket.disconnect()
