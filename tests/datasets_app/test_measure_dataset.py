"""Counting tokens in the background: once, cancellable, in words when it fails, and never somebody else's model."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app import api as api_module
from datasets_app.models import Dataset, Measurement
from datasets_app.services import measure_dataset as module
from datasets_app.services.measure_dataset import measure, measure_dataset
from datasets_app.services.split_dataset import split_dataset
from datasets_app.services.validate_dataset import ingest, validate_dataset
from finetune.core.errors import Invalid
from models_app.models import LanguageModel
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_base_model, make_dataset


@pytest.fixture
def model(alice: User, tokenizer_dir: Path) -> LanguageModel:
    return make_base_model(alice, path=str(tokenizer_dir))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "COUNT_WAIT", 0)


def test_tokens_are_counted_once(
    alice: User, api: APIClient, model: LanguageModel, django_capture_on_commit_callbacks: Any
) -> None:
    dataset = make_read(alice, jsonl(*pairs(40)))
    address = f"/api/datasets/{dataset.pk}/statistics"
    with django_capture_on_commit_callbacks() as queued:
        told = api.get(address, {"model_id": model.pk})
    assert (told.status_code, told.data["status"], told.data["estimated"], len(queued)) == (202, "queued", True, 1)
    measure(Measurement.objects.get().pk)
    told = api.get(address, {"model_id": model.pk, "max_length": 30}).data
    assert (told["status"], told["estimated"], told["tokens"]["count"], told["rows"]) == ("done", False, 40, 40)
    assert told["tokens"]["min"] <= told["tokens"]["p50"] <= told["tokens"]["p95"] <= told["tokens"]["p99"] <= told["tokens"]["max"]
    assert 0 < told["trained_tokens"] < told["tokens"]["total"]
    assert sum(bar["rows"] for bar in told["tokens"]["histogram"]) == 40
    assert told["recommended_max_length"] == 64
    assert told["packing_gain"] > 1
    assert (told["cut_share"], told["cut_share_at"]["max_length"]) == (0.0, 30)
    measure(Measurement.objects.get().pk)
    assert Measurement.objects.get().attempt == 1
    with django_capture_on_commit_callbacks() as queued:
        again = make_read(alice, jsonl(*pairs(40)))
        assert measure_dataset(dataset=again, model_id=model.pk).status == "done"
    assert Measurement.objects.count() == 1


def test_without_a_model_tokens_are_estimated_and_it_says_so(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(40), pairs(1)[0]))
    told = api.get(f"/api/datasets/{dataset.pk}/statistics").data
    assert (told["status"], told["estimated"], told["duplicates"], told["tokens"]["count"]) == ("done", True, 1, 41)
    assert told["roles"] == {"user": 41, "assistant": 41}
    assert told["turns"] == {"2": 41}


def test_counting_can_be_cancelled_and_begun_again(
    alice: User, api: APIClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_read(alice, jsonl(*pairs(5)))
    found = measure_dataset(dataset=dataset, model_id=model.pk)
    real = module._Turn.rows

    def cancelled(turn: Any, done: int, total: int) -> None:
        assert api.post(f"/api/datasets/{dataset.pk}/statistics/cancel").status_code == 202
        real(turn, done, total)

    with monkeypatch.context() as patched:
        patched.setattr(module._Turn, "rows", cancelled)
        measure(found.pk)
    found.refresh_from_db()
    assert (found.status, found.result) == ("cancelled", {})
    assert api.post(f"/api/datasets/{dataset.pk}/statistics/cancel").status_code == 409
    assert measure_dataset(dataset=dataset, model_id=model.pk).status == "queued"
    measure(found.pk)
    found.refresh_from_db()
    assert found.status == "done"


def test_a_lost_worker_is_replaced(alice: User, model: LanguageModel) -> None:
    found = measure_dataset(dataset=make_read(alice, jsonl(*pairs(5))), model_id=model.pk)
    Measurement.objects.update(status="running", updated_at=timezone.now() - timedelta(minutes=5))
    assert measure_dataset(dataset=found.dataset, model_id=model.pk).status == "queued"


def test_a_broken_tokenizer_is_said_in_words(alice: User, api: APIClient, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    broken = make_base_model(alice, path=str(tmp_path))
    dataset = make_read(alice, jsonl(*pairs(5)))
    measure(measure_dataset(dataset=dataset, model_id=broken.pk).pk)
    assert Measurement.objects.get().status == "failed"
    assert "worker's log" in Measurement.objects.get().error


def test_it_refuses_models_that_are_not_there_and_datasets_without_rows(
    alice: User, charlie: User, api: APIClient, model: LanguageModel
) -> None:
    dataset, theirs = make_dataset(alice), make_base_model(charlie)
    for wrong in (10**9, theirs.pk, make_base_model(alice, family="no files").pk):
        answer = api.get(f"/api/datasets/{dataset.pk}/statistics", {"model_id": wrong})
        assert (answer.status_code, list(answer.data["fields"])) == (400, ["model_id"])
    waiting = make_dataset(alice, status="validating")
    assert api.get(f"/api/datasets/{waiting.pk}/statistics", {"model_id": model.pk}).status_code == 409
    assert Measurement.objects.count() == 0


def test_strangers_find_nothing(alice: User, charlie_api: APIClient) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.get(f"/api/datasets/{dataset.pk}/statistics").status_code == 404
    assert charlie_api.post(f"/api/datasets/{dataset.pk}/statistics/cancel").status_code == 404


# --- The same tokenizer while a file is checked -------------------------------------------------------------------------------


def checked(dataset: Dataset, **options: Any) -> Dataset:
    validate_dataset(dataset=dataset, **options)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    return dataset


def test_checking_with_a_tokenizer_finds_rows_that_are_cut(alice: User, api: APIClient, model: LanguageModel) -> None:
    rows = [*pairs(10), {"prompt": "Why? " * 60, "completion": "Because."}, {"prompt": "Why?", "completion": "Because. " * 60}]
    dataset = make_read(alice, jsonl(*rows))
    answer = api.post(f"/api/datasets/{dataset.pk}/validate", {"tokenizer_model_id": model.pk, "max_length": 64})
    assert answer.status_code == 202
    ingest(dataset.pk)
    dataset.refresh_from_db()
    counts = dataset.report["counts"]
    assert (counts["nothing_trained"], counts["cut_rows"]) == (1, 1)
    assert {problem["line"]: problem["rule"] for problem in dataset.report["problems"] if problem["rule"] in ("nothing_trained", "cut_rows")} == {
        11: "nothing_trained", 12: "cut_rows"
    }  # fmt: skip
    assert dataset.report["lines"] == {"template_refuses": [], "nothing_trained": [11]}
    from tests.datasets_app.test_fix_dataset import fixed

    assert fixed(dataset, "nothing_trained").rows == 11


def test_a_tokenizer_that_went_away_is_said(alice: User, model: LanguageModel) -> None:
    dataset = make_read(alice, jsonl(*pairs(5)))
    validate_dataset(dataset=dataset, tokenizer_model_id=model.pk)
    model.delete()
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.report["counts"].get("tokens_unchecked")) == ("ready", 1)


def test_checking_again_keeps_the_split(alice: User, model: LanguageModel) -> None:
    dataset = split_dataset(dataset=make_read(alice, jsonl(*pairs(10))), train=0.5, validation=0.5)
    assert checked(dataset, tokenizer_model_id=model.pk).splits == {"train": 5, "validation": 5}
    assert checked(dataset, mapping={"prompt": "completion", "completion": "prompt"}).splits == {"train": 10}


def test_it_refuses_a_tokenizer_that_is_not_there(alice: User, charlie: User, api: APIClient) -> None:
    dataset = make_dataset(alice)
    answer = api.post(f"/api/datasets/{dataset.pk}/validate", {"tokenizer_model_id": make_base_model(charlie).pk})
    assert (answer.status_code, list(answer.data["fields"])) == (400, ["tokenizer_model_id"])
    with pytest.raises(Invalid):
        validate_dataset(dataset=dataset, tokenizer_model_id=10**9)
    dataset.refresh_from_db()
    assert dataset.status == "ready"


def test_the_page_is_quiet_about_other_peoples(alice: User, charlie_page: Client) -> None:
    assert charlie_page.get(f"/datasets/{make_dataset(alice).pk}").status_code == 404
