"""Rows as the model will see them, rendered by a worker that answers soon or is not waited for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.services import render_rows as module
from datasets_app.services.preview_dataset import preview_dataset
from datasets_app.services.render_rows import render_rows
from finetune.core import streams
from finetune.core.errors import Conflict, Unavailable
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_base_model, make_dataset


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A worker that answers at once; the requests it got."""
    got: list[str] = []

    def at_once(request_id: str) -> None:
        got.append(request_id)
        thread = threading.Thread(target=module.render, args=(request_id,))
        thread.start()
        thread.join()

    monkeypatch.setattr(module.render, "delay_on_commit", at_once)
    return got


def test_the_preview_marks_what_is_learned(alice: User, api: APIClient, tokenizer_dir: Path, worker: list[str]) -> None:
    model = make_base_model(alice, path=str(tokenizer_dir))
    dataset = make_read(alice, jsonl(*pairs(30)))
    told = api.get(f"/api/datasets/{dataset.pk}/preview", {"offset": 7, "limit": 2, "model_id": model.pk, "max_length": 20}).data
    assert [len(told["rows"]), len(told["rendered"])] == [2, 2]
    first = told["rendered"][0]
    assert "".join(part["text"] for part in first if part["trained"]) == "It is 8.<|im_end|>"
    assert any(part["cut"] for part in first)
    api.get(f"/api/datasets/{dataset.pk}/preview", {"offset": 7, "limit": 2, "model_id": model.pk, "max_length": 20})
    assert len(worker) == 1, "the second time it is remembered"


def test_nobody_waits_for_a_worker_that_is_not_there(alice: User, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.render, "delay_on_commit", lambda request_id: None)
    model = make_base_model(alice, path=str(tokenizer_dir))
    dataset = make_dataset(alice)
    rows = preview_dataset(dataset=dataset).rows
    with pytest.raises(Unavailable, match="No worker"):
        render_rows(dataset=dataset, rows=[*rows, {"nobody": "waits"}], model_id=model.pk, wait=1)


def test_what_a_cold_worker_brings_late_is_there_for_who_asks_again(
    alice: User, client: Client, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[str] = []
    monkeypatch.setattr(module.render, "delay_on_commit", queued.append)
    monkeypatch.setattr("datasets_app.pages.RENDER_WAIT", 0.1)
    model, dataset = make_base_model(alice, path=str(tokenizer_dir)), make_read(alice, jsonl(*pairs(3)))
    client.force_login(alice)
    address = f"/datasets/{dataset.pk}?model_id={model.pk}"
    for _ in range(2):
        assert "Waiting for a worker" in client.get(address).content.decode()
    assert len(queued) == 1
    thread = threading.Thread(target=module.render, args=(queued[0],))
    thread.start()
    thread.join()
    shown = client.get(address).content.decode()
    assert "Waiting for a worker" not in shown
    assert "seg-trained" in shown


def test_a_tokenizer_that_can_not_be_loaded_is_said(alice: User, tmp_path: Path, worker: list[str]) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    model = make_base_model(alice, path=str(tmp_path))
    with pytest.raises(Conflict, match="could not be rendered"):
        preview_dataset(dataset=make_dataset(alice), model_id=model.pk)


def test_a_request_is_answered_once_and_not_after_it_was_cancelled() -> None:
    streams.put_request("gone", {"rows": []})
    streams.cancel("gone")
    module.render("gone")
    module.render("gone")
    assert streams.take_request("gone") is None


def test_somebody_elses_model_is_not_there(
    alice: User, charlie: User, api: APIClient, tokenizer_dir: Path, worker: list[str]
) -> None:
    theirs = make_base_model(charlie, path=str(tokenizer_dir))
    answer = api.get(f"/api/datasets/{make_dataset(alice).pk}/preview", {"model_id": theirs.pk})
    assert (answer.status_code, list(answer.data["fields"])) == (400, ["model_id"])
    assert worker == []


def test_rows_with_a_problem_are_found(alice: User, api: APIClient) -> None:
    rows: list[Any] = pairs(3000)
    rows[1200]["completion"] = rows[2800]["completion"] = "Write to jane@acme.org"
    dataset = make_read(alice, jsonl(*rows))
    told = api.get(f"/api/datasets/{dataset.pk}/preview", {"rule": "personal_data"}).data
    assert (told["total"], [row["line"] for row in told["rows"]]) == (2, [1201, 2801])
    assert api.get(f"/api/datasets/{dataset.pk}/preview", {"rule": "secret"}).data["total"] == 0


def test_long_rows_are_shown_in_part() -> None:
    from training.engine.rowtokens import Segment

    parts = [Segment("a" * module.MOST_CHARACTERS, False), Segment("b", True)]
    assert [len(part["text"]) for part in module._shortened([Segment("x", False), *parts])] == [1, module.MOST_CHARACTERS]
