"""The sample: a model and a dataset made here, once for each person."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import Unavailable
from models_app.models import LanguageModel
from training.engine.sample import SAMPLE_CONFIG, sample_rows
from training.services import create_sample as module
from training.services.create_job import create_job
from training.services.create_sample import create_sample, make_sample
from training.services.reproduce_job import reproduce_job
from training.services.start_job import run_job


@pytest.fixture(autouse=True)
def no_old_datasets(settings) -> None:
    from finetune.core import storage

    storage.remove_tree(settings.DATA_DIR / "datasets")


def test_the_api_answers_at_once_and_twice_the_same(api: APIClient, charlie_api: APIClient, charlie: User) -> None:
    first = api.post("/api/training/sample")
    again = api.post("/api/training/sample/")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    model, dataset = LanguageModel.objects.get(), Dataset.objects.get()
    assert first.json() == {"model_id": model.pk, "dataset_id": dataset.pk}
    assert (model.status, model.source, dataset.name) == ("downloading", "sample", module.NAME)
    others = charlie_api.post("/api/training/sample").json()
    assert set(others.values()).isdisjoint(first.json().values()) or others != first.json()
    assert LanguageModel.objects.for_user(charlie).count() == 1


def test_the_page_leads_home(page: Client, anonymous_page: Client, alice: User) -> None:
    assert page.post("/training/sample").url == "/"
    assert LanguageModel.objects.for_user(alice).exists()
    assert page.get("/training/sample").status_code == 405
    assert anonymous_page.post("/training/sample").status_code == 302
    assert LanguageModel.objects.count() == 1


def test_its_rows_pass_the_check(alice: User) -> None:
    dataset = create_sample(owner=alice).dataset
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.kind, dataset.rows, dataset.errors) == ("ready", "sft", len(sample_rows()), 0)


def test_a_deleted_dataset_is_made_again(alice: User) -> None:
    create_sample(owner=alice).dataset.delete()
    assert create_sample(owner=alice).dataset.pk
    assert Dataset.objects.count() == 1


def test_a_failure_is_shown_and_can_be_tried_again(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_sample(owner=alice).model
    monkeypatch.setattr(
        module, "engine_environment", lambda: {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
    )
    with pytest.raises(Unavailable):
        make_sample(model.pk)
    model.refresh_from_db()
    assert model.status == "failed"
    assert create_sample(owner=alice).model.status == "downloading"


def test_the_command_needs_a_user(db: None) -> None:
    with pytest.raises(CommandError, match="nobody"):
        call_command("create_sample", user="nobody")


def test_the_new_page_suggests_what_suits_the_sample(page: Client, alice: User) -> None:
    model = create_sample(owner=alice).model
    model.move("ready", when="downloading")
    form = page.get("/training/new").context["form"]
    assert form.fields["learning_rate"].widget.attrs["placeholder"] == f"{SAMPLE_CONFIG['learning_rate']:g}"
    assert form["model_id"].value() == model.pk


@pytest.mark.engine
def test_the_sample_is_made_and_trains_for_real(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole road below the web: sample, ingest, queue, engine in a process of its own, version."""
    call_command("create_sample", user="ALICE")
    model, dataset = LanguageModel.objects.get(), Dataset.objects.get()
    assert (model.status, model.architecture) == ("ready", "LlamaForCausalLM")
    ingest(dataset.pk)
    config = {**SAMPLE_CONFIG, "max_steps": 12, "eval_steps": 6, "save_steps": 6}
    ids = {"model_id": model.pk, "dataset_id": dataset.pk}
    job = create_job(owner=alice, name="help desk", method="lora", config=config, start=True, **ids)
    run_job(job.pk)
    job.refresh_from_db()
    assert job.status == "succeeded", job.error
    train = [event.payload["step"] for event in job.events.filter(kind="metric") if event.payload["split"] == "train"]
    assert train == list(range(1, 13))
    assert job.metrics["best_eval_loss"] < job.metrics["first_eval_loss"]
    assert job.metrics["loss"] < job.metrics["first_loss"]
    assert job.memory["peak_bytes"] > 0
    assert job.output_model.adapter
    assert (job.output_model.directory / "adapter_model.safetensors").exists()

    again = reproduce_job(job=job)
    run_job(again.pk)
    again.refresh_from_db()
    assert (again.status, again.reproduced_exactly) == ("succeeded", True)
