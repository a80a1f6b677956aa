"""A checkpoint answers: of a job that still runs, and of the job that made a version."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from models_app.models import LanguageModel
from models_app.services.try_prompt import Params, gather, generate, try_prompt
from tests.factories import make_base_model, make_job, make_version
from training.models import TrainingJob

ASK = {"prompt": "Say hello", "temperature": 0, "max_new_tokens": 8}


@pytest.fixture
def job(alice: User, tiny_dir: Path, adapter_dir: Path) -> TrainingJob:
    """A running job of alice's with a checkpoint at step 20."""
    storage.remove_tree(storage.job_dir(0).parent)
    model = make_base_model(alice)
    shutil.copytree(tiny_dir, storage.model_dir(model.pk))
    job = make_job(alice, model=model, status="running", attempt=2)
    directory = storage.attempt_dir(job.pk, 2) / "checkpoints/checkpoint-20"
    shutil.copytree(adapter_dir, directory)
    (directory / "seal.json").write_text("{}")
    return job


@pytest.mark.engine
def test_a_running_jobs_checkpoint_answers_on_both_surfaces(
    job: TrainingJob, inference_worker: None, api: APIClient, page: Client
) -> None:
    answer = api.post(f"/api/training/{job.pk}/checkpoints/20/test", {**ASK, "with_base": True})
    assert answer.status_code == 200, answer.data
    outputs = answer.json()["outputs"]
    assert [output["of"] for output in outputs] == ["checkpoint", "base"]
    assert outputs[0]["text"] != outputs[1]["text"]
    form = {**ASK, "system": "", "compare": "on"}
    shown = page.post(f"/training/{job.pk}/checkpoints/20/try", form)
    assert [output["text"] for output in shown.context["outputs"]] == [output["text"] for output in outputs]
    assert outputs[0]["stop_reason"] in {"stop", "length"}


@pytest.mark.engine
def test_a_version_answers_as_it_was(job: TrainingJob, alice: User, django_capture_on_commit_callbacks: Any) -> None:
    version = make_version(alice, base=job.model)
    shutil.copytree(storage.model_dir(job.model.pk), storage.model_dir(version.pk))
    TrainingJob.objects.filter(pk=job.pk).update(output_model=version)
    version = LanguageModel.objects.get(pk=version.pk)
    with django_capture_on_commit_callbacks():
        messages = [{"role": "user", "content": "Say hello"}]
        request_id = try_prompt(models=[version], messages=messages, params=Params(max_new_tokens=4, temperature=0), checkpoint=20)
    generate(request_id)
    assert gather(request_id=request_id)[0]["model_id"] == version.pk


def test_what_cannot_be_asked_is_named(job: TrainingJob, api: APIClient, page: Client, alice: User) -> None:
    url = f"/api/training/{job.pk}/checkpoints"
    for step, change, field in ((21, {}, "checkpoint"), (20, {"prompt": " "}, "prompt"), (20, {"temperature": 3}, "temperature")):
        answer = api.post(f"{url}/{step}/test", {**ASK, **change})
        assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert page.get(f"/training/{job.pk}/checkpoints/21/try").status_code == 404
    assert page.get(f"/training/{job.pk}/checkpoints/20/try").status_code == 200
    shown = page.post(f"/training/{job.pk}/checkpoints/20/try", {**ASK, "temperature": 3})
    assert shown.status_code == 422
    answer = api.post(f"/api/models/{job.model.pk}/test", {**ASK, "checkpoint": 20})
    assert list(answer.json()["fields"]) == ["checkpoint"]


def test_a_stranger_finds_nothing(job: TrainingJob, charlie_api: APIClient, charlie_page: Client) -> None:
    assert charlie_api.post(f"/api/training/{job.pk}/checkpoints/20/test", ASK).status_code == 404
    assert charlie_page.get(f"/training/{job.pk}/checkpoints/20/try").status_code == 404
