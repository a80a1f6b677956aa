"""Drafts: what is accepted, and every refusal by name."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_version
from training.engine.quantization import obstacle
from training.models import TrainingJob


@pytest.fixture
def body(alice: User) -> dict[str, Any]:
    model, dataset = make_base_model(alice), make_dataset(alice)
    return {"name": "help desk", "model_id": model.pk, "dataset_id": dataset.pk, "method": "lora"}


def test_it_makes_a_draft_with_the_methods_defaults(api: APIClient, body: dict) -> None:
    answer = api.post("/api/training", {**body, "config": {"lora_r": 8, "max_steps": "20"}})
    assert answer.status_code == 201, answer.data
    job = answer.json()
    assert {"status": "draft", "method": "lora", "executor": "local", "train_split": "train", "attempt": 0}.items() <= job.items()
    assert {"lora_r": 8, "max_steps": 20, "learning_rate": 2e-4}.items() <= job["config"].items()
    assert job["queue_position"] is None
    assert api.get(f"/api/training/{job['id']}/").json() == job


def test_start_queues_it_at_once(api: APIClient, body: dict) -> None:
    job = api.post("/api/training/", {**body, "start": True}).json()
    assert (job["status"], job["queue_position"]) == ("queued", 1)


def test_full_training_steps_ten_times_shorter(api: APIClient, body: dict) -> None:
    assert api.post("/api/training", {**body, "method": "sft"}).json()["config"]["learning_rate"] == 2e-5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"model_id": 999}, "model_id"),
        ({"model_id": "abc"}, "model_id"),
        ({"dataset_id": 999}, "dataset_id"),
        ({"method": "magic"}, "method"),
        ({"executor": "moon"}, "executor"),
        ({"train_split": "tset"}, "train_split"),
        ({"eval_split": "test"}, "eval_split"),
        ({"eval_split": "train"}, "eval_split"),
        ({"config": {"learning_rate": -1}}, "learning_rate"),
        ({"config": {"learning_rate": "fast"}}, "learning_rate"),
        ({"config": {"learningrate": 1}}, "learningrate"),
        ({"config": {"lr_scheduler_type": "wavy"}}, "lr_scheduler_type"),
        ({"config": [1]}, "config"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_it_refuses_and_names_the_field(api: APIClient, body: dict, change: dict, field: str) -> None:
    answer = api.post("/api/training", {**body, **change})
    assert answer.status_code == 400, answer.data
    assert field in answer.json()["fields"]
    assert answer.json()["detail"]
    assert not TrainingJob.objects.exists()


@pytest.mark.parametrize("missing", ["name", "model_id", "dataset_id", "method"])
def test_what_is_needed_is_named(api: APIClient, body: dict, missing: str) -> None:
    del body[missing]
    answer = api.post("/api/training", body)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [missing]


def test_a_dataset_of_one_row_is_too_small(api: APIClient, alice: User, body: dict) -> None:
    answer = api.post("/api/training", {**body, "dataset_id": make_dataset(alice, rows=1).pk})
    assert answer.status_code == 400
    assert "at least 2 rows" in answer.json()["fields"]["dataset_id"][0]


@pytest.mark.parametrize("values", [{"status": "validating"}, {"status": "invalid"}, {"kind": "preference"}])
def test_a_dataset_that_does_not_fit_is_refused(api: APIClient, alice: User, body: dict, values: dict) -> None:
    answer = api.post("/api/training", {**body, "dataset_id": make_dataset(alice, **values).pk})
    assert answer.status_code == 400
    assert "dataset_id" in answer.json()["fields"]


def test_a_model_that_is_not_ready_or_an_adapter_is_refused(api: APIClient, alice: User, body: dict) -> None:
    remote = make_base_model(alice, status="remote", family="remote")
    adapter = make_version(alice, base=make_base_model(alice, family="other"))
    for model in (remote, adapter):
        answer = api.post("/api/training", {**body, "model_id": model.pk})
        assert answer.status_code == 400
        assert "model_id" in answer.json()["fields"]


def test_other_peoples_models_and_data_look_like_missing_ones(charlie_api: APIClient, charlie: User, body: dict) -> None:
    answer = charlie_api.post("/api/training", body)
    missing = charlie_api.post("/api/training", {**body, "model_id": 999, "dataset_id": 999})
    assert answer.status_code == missing.status_code == 400
    words = answer.json()["detail"].replace(str(body["model_id"]), "N")
    assert words == missing.json()["detail"].replace("999", "N")
    assert not TrainingJob.objects.exists()


def test_a_template_gives_method_and_options_and_what_is_named_beside_it_wins(api: APIClient, body: dict) -> None:
    del body["method"]
    job = api.post("/api/training", {**body, "template_id": "lora-memory", "config": {"lora_r": 4}}).json()
    assert job["method"] == "lora"
    assert {"per_device_train_batch_size": 1, "lora_r": 4, "max_length": 512}.items() <= job["config"].items()
    for wrong in ("magic", "999"):
        answer = api.post("/api/training", {**body, "template_id": wrong})
        assert list(answer.json()["fields"]) == ["template_id"]
    clash = api.post("/api/training", {**body, "template_id": "lora-memory", "method": "sft"})
    assert list(clash.json()["fields"]) == ["template_id"]
    assert TrainingJob.objects.count() == 1


def test_the_same_idempotency_key_is_the_same_job(api: APIClient, charlie_api: APIClient, charlie: User, body: dict) -> None:
    first = api.post("/api/training", {**body, "start": True}, headers={"Idempotency-Key": "k1"}).json()
    again = api.post("/api/training", {**body, "start": True}, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert api.post("/api/training", body, headers={"Idempotency-Key": "k2"}).json()["id"] != first["id"]
    own = {**body, "model_id": make_base_model(charlie).pk, "dataset_id": make_dataset(charlie).pk}
    assert charlie_api.post("/api/training", own, headers={"Idempotency-Key": "k1"}).json()["id"] != first["id"]
    assert api.post("/api/training", body, headers={"Idempotency-Key": "x" * 201}).status_code == 400


# --- The page ------------------------------------------------------------------------------------


def test_the_page_starts_a_job(page: Client, body: dict) -> None:
    answer = page.post(
        "/training/new", {**body, "start": "1", "lora_r": "4", "packing": "true", "lora_target_modules": "q_proj, v_proj"}
    )
    job = TrainingJob.objects.get()
    assert answer.url == f"/training/{job.pk}"
    assert job.status == "queued"
    assert {"lora_r": 4, "packing": True, "lora_target_modules": ["q_proj", "v_proj"]}.items() <= job.config.items()


def test_the_page_saves_a_draft_named_after_model_and_dataset(page: Client, body: dict) -> None:
    page.post("/training/new", {**body, "name": "", "draft": "1"})
    job = TrainingJob.objects.get()
    assert (job.status, job.name) == ("draft", "tiny-base on greetings")
    assert job.config["learning_rate"] == 2e-4


def test_the_page_shows_the_refusal_at_the_field_and_keeps_what_was_typed(page: Client, body: dict) -> None:
    answer = page.post("/training/new", {**body, "start": "1", "learning_rate": "-1", "warmup_ratio": "7"})
    assert answer.status_code == 422
    form = answer.context["form"]
    assert set(form.errors) == {"learning_rate", "warmup_ratio"}
    html = answer.content.decode()
    assert 'value="-1"' in html
    assert "Must be greater than 0." in html
    assert not TrainingJob.objects.exists()


def test_the_page_preselects_and_says_what_is_missing(page: Client, charlie_page: Client, body: dict) -> None:
    html = page.get(f"/training/new?model={body['model_id']}&dataset={body['dataset_id']}").content.decode()
    assert f'<option value="{body["model_id"]}" selected>' in html
    assert f'<option value="{body["dataset_id"]}" selected>' in html
    nothing = charlie_page.get("/training/new").content.decode()
    assert "You need a base model and a dataset first." in nothing
    assert "disabled" in nothing


def test_a_stranger_cannot_choose_her_things_on_the_page(charlie_page: Client, body: dict) -> None:
    assert charlie_page.post("/training/new", {**body, "start": "1"}).status_code == 422
    assert not TrainingJob.objects.exists()


def test_the_methods_own_options_come_by_htmx(page: Client, body: dict) -> None:
    answer = page.get("/training/new?method=sft", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in answer
    assert 'name="lora_r"' not in answer
    assert 'placeholder="2e-05"' in answer


def test_a_job_can_be_taken_as_the_pattern(page: Client, charlie_page: Client, body: dict) -> None:
    page.post("/training/new", {**body, "draft": "1", "lora_r": "6"})
    job = TrainingJob.objects.get()
    form = page.get(f"/training/new?from={job.pk}").context["form"]
    assert (form["lora_r"].value(), form["name"].value(), form["model_id"].value()) == ("6", "help desk", body["model_id"])
    assert charlie_page.get(f"/training/new?from={job.pk}").status_code == 404


def test_four_bits_are_refused_where_there_can_be_none(api: APIClient, body: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    made = api.post("/api/training", {**body, "method": "qlora"})
    assert made.status_code == 201, made.data
    monkeypatch.setattr("training.refusals.obstacle", lambda: obstacle(mac=False, installed=False))
    for answer in (api.post("/api/training", {**body, "method": "qlora"}), api.post(f"/api/training/{made.json()['id']}/start")):
        assert answer.status_code == 400
        assert "bitsandbytes" in answer.json()["fields"]["method"][0]
    assert "lora" in obstacle(mac=True, installed=True)
    assert TrainingJob.objects.get().status == "draft"


def test_rows_longer_than_the_model_reads_are_refused(api: APIClient, alice: User, body: dict) -> None:
    LanguageModel.objects.filter(pk=body["model_id"]).update(context_length=512)
    answer = api.post("/api/training", {**body, "config": {"max_length": 513}})
    assert answer.status_code == 400 and "512" in answer.json()["fields"]["max_length"][0]
    assert api.post("/api/training", {**body, "config": {"max_length": 512}}).status_code == 201
    assert api.post("/api/training", body).status_code == 201  # the default is no wish: the engine lowers it
