"""/v1/chat/completions and /v1/models: what they take, refuse and give; the answers themselves come from a real worker in
tests/e2e/test_openai_client.py."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.issue_tokens import issue_tokens
from finetune.core import streams
from finetune.openai import chat
from models_app.models import LanguageModel
from tests.factories import make_job, make_version

CHAT = "/v1/chat/completions"
HELLO = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
DONE = {"prompt_tokens": 7, "tokens": 3, "seconds": 0.5, "tokens_per_second": 6.0, "stop_reason": "length"}


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A worker that answers “Hello you” to everything; what it was asked."""
    asked: list[dict[str, Any]] = []

    def queue(weights: Any, messages: Any, params: Any) -> str:
        chat_request = uuid.uuid4().hex
        asked.append({"weights": weights, "messages": messages, "params": params})
        name = weights[0]["id"]
        for message in (
            {"type": "started", "models": [name]},
            {"type": "token", "model_id": name, "text": "Hello"},
            {"type": "token", "model_id": name, "text": " you"},
            {"type": "done", "model_id": name, **DONE},
            {"type": streams.END},
        ):
            streams.publish(chat_request, message)
        return chat_request

    monkeypatch.setattr(chat, "queue_prompt", queue)
    monkeypatch.setattr("finetune.openai.refs.weights_of", lambda model: {"base": model.name, "adapter": None})
    return asked


def ask(client: APIClient, **values: Any) -> Any:
    return client.post(CHAT, {"model": "tiny", "messages": HELLO, **values})


def test_a_whole_answer(bearer: APIClient, base: LanguageModel, worker: list) -> None:
    told = ask(bearer, max_tokens=9, temperature=0, top_p=0.5, seed=3, n=1, stop="END", user="me", frequency_penalty=0)
    assert told.status_code == 200, told.data
    (choice,) = told.data["choices"]
    assert choice["message"]["content"] == "Hello you"
    assert (choice["finish_reason"], told.data["object"], told.data["model"]) == ("length", "chat.completion", "tiny")
    assert told.data["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert worker[0]["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    params = worker[0]["params"]
    assert (params.max_new_tokens, params.temperature, params.top_p, params.seed) == (9, 0, 0.5, 3)
    assert params.stop == ("END",)


@pytest.mark.django_db(transaction=True)
async def test_a_streamed_answer(alice: User, base: LanguageModel, worker: list) -> None:
    token = (await sync_to_async(issue_tokens)(user=alice))["access"]
    body = json.dumps({"model": "tiny", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}})
    told = await AsyncClient().post(CHAT, body, "application/json", headers={"Authorization": f"Bearer {token}"})
    assert told.headers["Content-Type"] == "text/event-stream"
    lines = [line.decode() async for line in told.streaming_content]
    assert lines[-1] == "data: [DONE]\n\n"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == "Hello you"
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 10)


BAD = {
    "two answers": ({"n": 2}, "n"),
    "tools": ({"tools": [{"type": "function"}]}, "tools"),
    "an unknown model": ({"model": "gpt-9"}, "model"),
    "somebody's checkpoint": ({"model": "job-1-step-1"}, "model"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
    "no user": ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
    "no stop": ({"stop": [1]}, "stop"),
    "an empty stop": ({"stop": ""}, "stop"),
    "too hot": ({"temperature": 3}, "temperature"),
    "too long": ({"max_tokens": 100_000}, "max_tokens"),
}


@pytest.mark.parametrize(("change", "param"), BAD.values(), ids=BAD.keys())
def test_what_cant_be_done_is_named(
    bearer: APIClient, base: LanguageModel, monkeypatch: pytest.MonkeyPatch, change: dict, param: str
) -> None:
    monkeypatch.setattr("finetune.openai.refs.weights_of", lambda model: {"base": model.name, "adapter": None})
    told = ask(bearer, **change)
    assert (told.status_code, told.data["error"]["param"]) == (400, param), told.data


def test_models_are_the_callers_own(bearer: APIClient, charlie_api: APIClient, base: LanguageModel, alice: User) -> None:
    tuned = make_version(alice, base=base)
    assert [model["id"] for model in bearer.get("/v1/models").data["data"]] == [f"model-{tuned.pk}", f"model-{base.pk}"]
    assert bearer.get("/v1/models/lab/tiny-1").data["id"] == f"model-{base.pk}"
    assert charlie_api.get("/v1/models").data["data"] == []
    assert charlie_api.get(f"/v1/models/model-{tuned.pk}").json()["error"]["code"] == "not_found"
    assert charlie_api.delete(f"/v1/models/model-{tuned.pk}").status_code == 404
    assert bearer.delete(f"/v1/models/model-{base.pk}").data["error"]["code"] == "not_tuned"
    make_job(alice, model=tuned, status="queued")
    assert bearer.delete(f"/v1/models/model-{tuned.pk}").status_code == 409
    assert LanguageModel.objects.count() == 2


def test_a_name_means_the_latest_version(bearer: APIClient, base: LanguageModel, alice: User) -> None:
    make_version(alice, base=base, version=1, is_latest=False)
    second = make_version(alice, base=base, version=2)
    assert bearer.get("/v1/models/tuned").data["id"] == f"model-{second.pk}"
    assert bearer.delete("/v1/models/tuned").data["deleted"]
    assert not LanguageModel.objects.filter(pk=second.pk).exists()
