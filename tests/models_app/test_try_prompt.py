"""A prompt goes through the broker to a worker and the answer comes back, as JSON, as a stream and on a page."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage, streams
from finetune.core.errors import Conflict, Invalid, Unavailable
from models_app.models import LanguageModel
from models_app.services import try_prompt as verb
from models_app.services.try_prompt import Params, follow, gather, generate, try_prompt
from tests.factories import make_base_model, make_version

HELLO = [{"role": "user", "content": "Say hello"}]
GREEDY = Params(max_new_tokens=8, temperature=0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "ANSWER_WITHIN_SECONDS", 1.5)
    streams.connection().delete(f"{streams.PREFIX}{verb.WORKER}:beat")  # the last beat of a test before


def messages_of(request_id: str) -> list[dict[str, Any]]:
    return list(follow(request_id=request_id))


def ask_in_line(models: list[LanguageModel], capture: Any, messages: Any = None, params: Params = GREEDY) -> str:
    """Ask without handing the task to the broker, so that the test runs it itself."""
    with capture():
        return try_prompt(models=models, messages=messages or HELLO, params=params)


# --- the verb ----------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_it_streams_each_models_answer(
    base: LanguageModel, version: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    request_id = ask_in_line([version, base], django_capture_on_commit_callbacks)
    generate(request_id)
    found = messages_of(request_id)
    assert found[0] == {"type": "started", "models": [version.pk, base.pk]}
    assert found[-1] == {"type": "end"}
    assert {message["model_id"] for message in found if message["type"] == "done"} == {version.pk, base.pk}
    texts = {pk: "".join(m["text"] for m in found if m["type"] == "token" and m["model_id"] == pk) for pk in (version.pk, base.pk)}
    assert texts[version.pk] != texts[base.pk]
    outputs = gather(request_id=request_id)
    assert [output["text"] for output in outputs] == [texts[version.pk], texts[base.pk]]
    assert set(outputs[0]) == {
        "model_id", "text", "thinking", "prompt_tokens", "tokens", "seconds", "tokens_per_second", "first_token_seconds", "load_seconds", "stop_reason",
        "error",
    }  # fmt: skip
    order = [message["model_id"] for message in found if message["type"] == "token"]
    assert order != sorted(order), "the answers come together, not one behind the other"
    assert order != sorted(order, reverse=True)


@pytest.mark.engine
def test_a_second_delivery_does_nothing(base: LanguageModel, django_capture_on_commit_callbacks: Any) -> None:
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    generate(request_id)
    once = messages_of(request_id)
    generate(request_id)
    assert messages_of(request_id) == once


def test_a_cancelled_request_is_not_begun(base: LanguageModel, django_capture_on_commit_callbacks: Any, impatient: None) -> None:
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    streams.cancel(request_id)
    generate(request_id)
    with pytest.raises(Unavailable):
        messages_of(request_id)


@pytest.mark.engine
def test_a_cancel_ends_every_answer_at_the_next_token(
    base: LanguageModel, version: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    request_id = ask_in_line([base, version], django_capture_on_commit_callbacks, params=Params(max_new_tokens=4000, temperature=0))
    worker = threading.Thread(target=generate, args=(request_id,))
    worker.start()
    found = []
    for message in follow(request_id=request_id):
        found.append(message)
        if message["type"] == "token":
            streams.cancel(request_id)
    worker.join(20)
    assert found[-1] == {"type": "end"}
    done = [message for message in found if message["type"] == "done"]
    assert [message["stop_reason"] for message in done] == ["cancelled", "cancelled"]
    assert done[0]["tokens"] < 240


def test_a_model_that_cannot_answer_says_why(base: LanguageModel, django_capture_on_commit_callbacks: Any) -> None:
    (base.directory / "model.safetensors").write_bytes(b"torn")
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    generate(request_id)
    last = messages_of(request_id)[-1]
    assert (last["type"], last["code"]) == ("error", "cannot_generate")
    assert "could not be loaded" in last["message"]
    with pytest.raises(Conflict, match="could not be loaded"):
        gather(request_id=request_id)


@pytest.mark.engine
def test_one_that_cannot_answer_leaves_the_others_alone(
    alice: User, base: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    torn = make_base_model(alice, repo_id="org/torn", family="org/torn")
    shutil.copytree(base.directory, torn.directory)
    (torn.directory / "model.safetensors").write_bytes(b"torn")
    request_id = ask_in_line([torn, base], django_capture_on_commit_callbacks)
    generate(request_id)
    found = messages_of(request_id)
    (failed,) = [message for message in found if message["type"] == "failed"]
    assert (failed["model_id"], failed["code"], found[-1]) == (torn.pk, "cannot_generate", {"type": "end"})
    first, second = gather(request_id=request_id)
    assert (first["stop_reason"], first["text"], first["tokens"]) == ("failed", "", 0)
    assert "could not be loaded" in first["error"]
    assert (second["error"], second["tokens"] > 0) == ("", True)
    request_id = ask_in_line([torn, torn], django_capture_on_commit_callbacks)
    generate(request_id)
    with pytest.raises(Conflict, match="could not be loaded"):
        gather(request_id=request_id)


def test_without_a_worker_it_is_unavailable_and_withdrawn(
    base: LanguageModel, django_capture_on_commit_callbacks: Any, impatient: None
) -> None:
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="inference worker does not answer"):
        messages_of(request_id)
    assert time.monotonic() - begun < 6
    assert streams.is_cancelled(request_id)


def test_a_worker_busy_with_another_prompt_is_waited_for(
    base: LanguageModel, django_capture_on_commit_callbacks: Any, impatient: None
) -> None:
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    with streams.beating(verb.WORKER):
        threading.Timer(3.0, streams.publish, (request_id, {"type": "end"})).start()
        assert messages_of(request_id) == [{"type": "end"}]


def test_a_worker_that_dies_in_the_middle_is_noticed(base: LanguageModel, django_capture_on_commit_callbacks: Any) -> None:
    request_id = ask_in_line([base], django_capture_on_commit_callbacks)
    streams.publish(request_id, {"type": "started"})  # … and then silence without a beat
    with pytest.raises(Unavailable, match="stopped in the middle"):
        messages_of(request_id)


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("temperature", Params(temperature=-0.1)),
        ("temperature", Params(temperature=2.1)),
        ("temperature", Params(temperature=float("nan"))),
        ("top_p", Params(top_p=0)),
        ("top_p", Params(top_p=1.1)),
        ("max_new_tokens", Params(max_new_tokens=0)),
        ("max_new_tokens", Params(max_new_tokens=4097)),
        ("seed", Params(seed=-1)),
    ],
)
def test_it_refuses_parameters_out_of_range(base: LanguageModel, field: str, params: Params) -> None:
    with pytest.raises(Invalid) as refused:
        try_prompt(models=[base], messages=HELLO, params=params)
    assert list(refused.value.fields) == [field]


def test_it_refuses_an_empty_prompt(base: LanguageModel) -> None:
    for empty in ([], [{"role": "user", "content": " \n"}], [{"role": "system", "content": "Be brief"}]):
        with pytest.raises(Invalid) as refused:
            try_prompt(models=[base], messages=empty, params=GREEDY)
        assert list(refused.value.fields) == ["prompt"]


def test_it_refuses_what_is_not_ready_or_not_here(alice: User, base: LanguageModel) -> None:
    remote = make_base_model(alice, status="remote", family="remote")
    gone = make_base_model(alice, family="gone")
    orphan = make_version(alice, base=gone)
    for model in (remote, gone, orphan):
        with pytest.raises(Conflict):
            try_prompt(models=[base, model], messages=HELLO, params=GREEDY)


# --- the surfaces ------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_the_api_answers_through_a_worker(
    inference_worker: None, api: APIClient, base: LanguageModel, version: LanguageModel
) -> None:
    body = {"prompt": "Say hello", "system": "Be kind.", "max_new_tokens": 8, "temperature": 0, "compare_with": [base.pk]}
    response = api.post(f"/api/models/{version.pk}/test", body)
    assert response.status_code == 200
    outputs = response.json()["outputs"]
    assert [output["model_id"] for output in outputs] == [version.pk, base.pk]
    assert all(
        output["tokens"] <= 8 and output["seconds"] > 0 and output["stop_reason"] in {"stop", "length"} for output in outputs
    )
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Say hello"}]
    same = api.post(f"/api/models/{base.pk}/test", {"messages": turns, "max_new_tokens": 8, "temperature": 0})
    assert same.json()["outputs"][0]["text"] == outputs[1]["text"]


@pytest.mark.engine
async def test_the_api_streams(inference_worker: None, alice: User, base: LanguageModel) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    response = await client.post(
        f"/api/models/{base.pk}/test",
        {"prompt": "Say hello", "max_new_tokens": 5, "temperature": 0},
        content_type="application/json",
        headers={"Accept": "text/event-stream"},
    )
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/event-stream")
    events = [json.loads(part.decode().removeprefix("data: ")) async for part in response.streaming_content]
    assert events[0] == {"type": "started", "models": [base.pk]}
    assert [event["type"] for event in events][-2:] == ["done", "end"]
    assert any(event["type"] == "token" for event in events)


@pytest.mark.engine
def test_the_page_answers_without_javascript(inference_worker: None, page: Client, version: LanguageModel) -> None:
    body = {
        "prompt": "Say hello", "system": "", "temperature": "0", "max_new_tokens": "8", "compare": "on", "stop": "never\n\\n\\n", "top_p": "",
    }  # fmt: skip
    response = page.post(f"/models/{version.pk}/try", body)
    assert response.status_code == 200
    assert [output["name"] for output in response.context["outputs"]] == ["tuned v1", "tiny-base"]
    assert response.content.decode().count("tokens/s") == 2


def test_api_and_page_name_the_field(api: APIClient, page: Client, base: LanguageModel) -> None:
    url = f"/api/models/{base.pk}/test"
    for body, field in [
        ({"prompt": " "}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages.0.role"),
        ({"prompt": "a", "temperature": -1}, "temperature"),
        ({"prompt": "a", "temperature": "hot"}, "temperature"),
        ({"prompt": "a", "stop": [""]}, "stop"),
        ({"prompt": "a", "stop": ["x"] * 9}, "stop"),
        ({"prompt": "a", "max_new_tokens": 5000}, "max_new_tokens"),
        ({"prompt": "a", "checkpoint": 20}, "checkpoint"),
        ({"prompt": "a", "compare_with": [999_999]}, "compare_with"),
        ({"prompt": "a", "compare_with": [10**30]}, "compare_with.0"),
    ]:
        response = api.post(url, body)
        assert response.status_code == 400, body
        assert list(response.json()["fields"]) == [field]
    assert api.post(url, [1]).status_code == 400
    shown = page.post(f"/models/{base.pk}/try", {"prompt": "a", "temperature": "3", "max_new_tokens": "8"})
    assert shown.status_code == 422
    assert shown.context["try_form"].errors["temperature"]


def test_a_refusal_of_a_stream_is_json(api: APIClient, base: LanguageModel) -> None:
    response = api.post(f"/api/models/{base.pk}/test", {"prompt": ""}, headers={"Accept": "text/event-stream"})
    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    assert response.json()["fields"]["prompt"]


def test_no_worker_is_a_503(api: APIClient, page: Client, base: LanguageModel, impatient: None) -> None:
    for accept in ("application/json", "text/event-stream"):
        response = api.post(f"/api/models/{base.pk}/test", {"prompt": "hello"}, headers={"Accept": accept})
        assert response.status_code == 503
        assert response.json()["code"] == "no_worker"
        assert response["Retry-After"] == "15"
    shown = page.post(f"/models/{base.pk}/try", {"prompt": "a", "temperature": "0", "max_new_tokens": "8"})
    assert "inference worker does not answer" in shown.content.decode()


def test_a_model_that_is_not_ready_is_a_409(api: APIClient, alice: User) -> None:
    model = make_base_model(alice, status="downloading")
    assert api.post(f"/api/models/{model.pk}/test", {"prompt": "hello"}).status_code == 409


def test_strangers_cannot_ask_or_compare_with_it(
    charlie_api: APIClient, charlie_page: Client, charlie: User, base: LanguageModel, tiny_dir: Path
) -> None:
    assert charlie_api.post(f"/api/models/{base.pk}/test", {"prompt": "a"}).status_code == 404
    assert charlie_page.post(f"/models/{base.pk}/try", {"prompt": "a"}).status_code == 404
    his = make_base_model(charlie)
    shutil.copytree(tiny_dir, storage.model_dir(his.pk))
    refused = charlie_api.post(f"/api/models/{his.pk}/test", {"prompt": "a", "compare_with": [base.pk]})
    missing = charlie_api.post(f"/api/models/{his.pk}/test", {"prompt": "a", "compare_with": [base.pk + 1000]})
    assert refused.status_code == missing.status_code == 400
    assert refused.json()["detail"].replace(str(base.pk), "") == missing.json()["detail"].replace(str(base.pk + 1000), "")
