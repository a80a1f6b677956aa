"""The same run once more: what it takes along, what it refuses, and how it tells whether the weights are the same."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_dataset, make_job
from tests.training.conftest import make_queued
from training.models import TrainingJob
from training.services.reproduce_job import reproduce_job
from training.start_facts import facts_at_start

STATES = [str(status) for status in TrainingJob.Status if status != "succeeded"]


@pytest.fixture
def original(queued: TrainingJob, take_turn) -> TrainingJob:
    TrainingJob.objects.filter(pk=queued.pk).update(**facts_at_start(queued))
    return take_turn()


@pytest.mark.parametrize(("digest", "same"), [("5" * 64, True), ("6" * 64, False)])
def test_it_takes_everything_along_and_compares_the_weights(original, api: APIClient, scripted, take_turn, digest, same) -> None:
    answer = api.post(f"/api/training/{original.pk}/reproduce")
    assert answer.status_code == 202
    told = answer.json()
    again = TrainingJob.objects.get(pk=told["id"])
    assert (told["status"], told["reproduces"], told["reproduced_exactly"]) == ("queued", original.pk, None)
    for name in ("model", "dataset", "method", "executor", "train_split", "eval_split", "config", "inputs"):
        assert getattr(again, name) == getattr(original, name), name
    scripted.script = {"total": 5, "sha256": digest}
    take_turn()
    finished = api.get(f"/api/training/{again.pk}").json()
    assert (finished["status"], finished["weights_sha256"], finished["reproduced_exactly"]) == ("succeeded", digest, same)


def test_the_spec_is_the_same_but_for_the_job(original, take_turn) -> None:
    import json

    again = reproduce_job(job=original)
    take_turn()
    again.refresh_from_db()
    one, two = (json.loads((job.run_dir / "spec.json").read_text()) for job in (original, again))
    assert {key for key in one if one[key] != two[key]} == {"job"}


def test_other_rows_are_refused(original, api: APIClient) -> None:
    make_dataset(original.owner, rows=9)
    original.dataset.rows_file.write_bytes(b"something else")
    refused(api, original, "read anew")
    original.dataset.rows_file.unlink()
    refused(api, original, "their file is gone")


def test_another_revision_or_other_weights_are_refused(original, api: APIClient) -> None:
    original.model.revision = "abc"
    original.model.save()
    TrainingJob.objects.filter(pk=original.pk).update(inputs={**original.inputs, "base_revision": "def"})
    refused(api, original, "another revision")
    TrainingJob.objects.filter(pk=original.pk).update(inputs={**original.inputs, "weights": "w"})
    refused(api, original, "weights")


def test_an_older_job_is_compared_by_its_spec(original, api: APIClient) -> None:
    TrainingJob.objects.filter(pk=original.pk).update(inputs={})
    original.dataset.content_hash = "0" * 64
    original.dataset.save()
    spec = original.run_dir / "spec.json"
    spec.write_text(spec.read_text().replace('"content_hash": ""', '"content_hash": "1"'))
    refused(api, original, "not what this job learned from")


def refused(api: APIClient, job: TrainingJob, words: str) -> None:
    answer = api.post(f"/api/training/{job.pk}/reproduce")
    assert (answer.status_code, answer.json()["code"]) == (409, "inputs_changed")
    assert words in answer.json()["detail"]
    assert TrainingJob.objects.count() == 1


@pytest.mark.parametrize("status", STATES)
def test_only_a_succeeded_job_can_be_reproduced(api: APIClient, alice: User, status: str) -> None:
    job = make_job(alice, status=status, train_split="train")
    answer = api.post(f"/api/training/{job.pk}/reproduce")
    assert (answer.status_code, answer.json()["code"]) == (409, f"job_{status}")
    assert TrainingJob.objects.count() == 1


def test_an_unusable_dataset_is_named(api: APIClient, alice: User) -> None:
    job = make_job(alice, status="succeeded", train_split="train")
    job.dataset.move("invalid", when="ready")
    answer = api.post(f"/api/training/{job.pk}/reproduce")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["dataset_id"])
    assert TrainingJob.objects.count() == 1


def test_a_stranger_finds_nothing(charlie_api: APIClient, alice: User) -> None:
    job = make_queued(alice, status="succeeded", executor="local")
    assert charlie_api.post(f"/api/training/{job.pk}/reproduce").status_code == 404
    assert TrainingJob.objects.count() == 1
