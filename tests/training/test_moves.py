"""Start, cancel, resume, clone, change and delete: each on both surfaces, for strangers, in every state."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from tests.factories import make_job
from training.models import TrainingJob

STATES = [str(status) for status in TrainingJob.Status]
# verb → state before → state after; every other state is refused and stays as it is.
MOVES = {
    "start": {"draft": "queued", "queued": "queued", "running": "running"},
    "cancel": {"queued": "cancelled", "running": "cancelling", "cancelling": "cancelling", "cancelled": "cancelled"},
    "resume": {"failed": "queued", "cancelled": "queued"},
}


def in_state(owner: User, status: str, **values) -> TrainingJob:
    queued_at = None if status == "draft" else timezone.now()
    return make_job(
        owner, status=status, queued_at=queued_at, train_split="train", attempt=0 if status in {"draft", "queued"} else 1, **values
    )


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("verb", MOVES)
def test_both_surfaces_move_or_refuse_alike(api: APIClient, page: Client, alice: User, verb: str, status: str) -> None:
    by_api, by_page = in_state(alice, status, name="a"), None
    answer = api.post(f"/api/training/{by_api.pk}/{verb}")
    by_page = make_job(
        alice, model=by_api.model, dataset=by_api.dataset, status=status, queued_at=timezone.now(), train_split="train", name="b"
    )
    shown = page.post(f"/training/{by_page.pk}/{verb}")
    by_api.refresh_from_db()
    by_page.refresh_from_db()
    expected = MOVES[verb].get(status)
    assert by_api.status == by_page.status == (expected or status)
    assert answer.status_code == (202 if expected else 409)
    assert shown.status_code == (302 if expected else 409)
    if expected and expected != status:
        assert by_api.events.filter(kind="status", payload__status=expected).exclude(payload__reason="").count() == 1
    else:
        assert not by_api.events.exists()


@pytest.mark.parametrize("verb", [*MOVES, "clone", "delete"])
def test_a_stranger_finds_nothing(charlie_api: APIClient, charlie_page: Client, alice: User, verb: str) -> None:
    job = in_state(alice, "failed")
    url = f"/api/training/{job.pk}"
    answer = charlie_api.delete(url) if verb == "delete" else charlie_api.post(f"{url}/{verb}")
    assert answer.status_code == 404
    assert charlie_page.post(f"/training/{job.pk}/{verb}").status_code == 404
    assert TrainingJob.objects.get().status == "failed"


def test_starting_wakes_a_worker_after_the_commit(api: APIClient, alice: User, django_capture_on_commit_callbacks) -> None:
    from celery_worker import app

    job = in_state(alice, "draft")
    with app.connection_for_write() as connection:
        connection.SimpleQueue("train").clear()
        with django_capture_on_commit_callbacks(execute=True):
            api.post(f"/api/training/{job.pk}/start")
        message = connection.SimpleQueue("train").get(timeout=5)
        message.ack()
    assert message.headers["task"] == "training.services.start_job.run_job"
    assert message.payload[0] == [job.pk]


def test_starting_checks_the_data_again(api: APIClient, alice: User) -> None:
    job = in_state(alice, "draft")
    job.dataset.move("invalid", when="ready")
    answer = api.post(f"/api/training/{job.pk}/start")
    assert answer.status_code == 400
    assert "dataset_id" in answer.json()["fields"]
    job.refresh_from_db()
    assert job.status == "draft"


def test_resuming_clears_the_error_and_counts_anew(api: APIClient, alice: User) -> None:
    job = in_state(alice, "failed", error={"code": "nan_loss"}, restarts=3, finished_at=timezone.now())
    api.post(f"/api/training/{job.pk}/resume")
    job.refresh_from_db()
    assert (job.status, job.error, job.restarts, job.finished_at) == ("queued", None, 0, None)


def test_cancelling_before_the_start_ends_it(api: APIClient, alice: User) -> None:
    job = in_state(alice, "queued")
    api.post(f"/api/training/{job.pk}/cancel")
    job.refresh_from_db()
    assert job.finished_at is not None


@pytest.mark.parametrize("status", STATES)
def test_cloning_makes_a_draft_of_any_job(api: APIClient, alice: User, status: str) -> None:
    job = in_state(alice, status, idempotency_key="k")
    answer = api.post(f"/api/training/{job.pk}/clone")
    assert answer.status_code == 201
    copy = TrainingJob.objects.get(pk=answer.json()["id"])
    assert (copy.status, copy.attempt, copy.idempotency_key, copy.config) == ("draft", 0, None, job.config)
    assert (copy.model, copy.dataset, copy.train_split) == (job.model, job.dataset, "train")


def test_the_page_leads_to_the_clone(page: Client, alice: User) -> None:
    job = in_state(alice, "succeeded")
    answer = page.post(f"/training/{job.pk}/clone")
    assert answer.url == f"/training/{TrainingJob.objects.exclude(pk=job.pk).get().pk}"


# --- Delete --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATES)
def test_an_active_job_stays(api: APIClient, page: Client, alice: User, status: str, django_capture_on_commit_callbacks) -> None:
    job = in_state(alice, status)
    directory = storage.job_dir(job.pk)
    directory.mkdir(parents=True)
    active = status in {"queued", "running", "cancelling"}
    with django_capture_on_commit_callbacks(execute=True):
        answer = api.delete(f"/api/training/{job.pk}")
    assert answer.status_code == (409 if active else 204)
    assert TrainingJob.objects.filter(pk=job.pk).exists() == active
    assert directory.exists() == active


def test_the_page_deletes_and_leads_to_the_list(page: Client, alice: User) -> None:
    job = in_state(alice, "failed")
    assert page.post(f"/training/{job.pk}/delete").url == "/training/"
    assert not TrainingJob.objects.exists()


# --- Change --------------------------------------------------------------------------------------


def test_a_draft_can_be_changed_in_part(api: APIClient, alice: User) -> None:
    job = in_state(alice, "draft")
    answer = api.patch(f"/api/training/{job.pk}", {"name": "renamed", "config": {"lora_r": 4}})
    assert answer.status_code == 200
    job.refresh_from_db()
    assert (job.name, job.config["lora_r"], job.config["lora_alpha"]) == ("renamed", 4, 32)


def test_another_method_brings_its_own_defaults_but_keeps_what_was_chosen(api: APIClient, alice: User) -> None:
    job = in_state(alice, "draft")
    assert api.patch(f"/api/training/{job.pk}", {"method": "sft"}).json()["config"]["learning_rate"] == 2e-5
    api.patch(f"/api/training/{job.pk}", {"config": {"learning_rate": 1e-3}})
    assert api.patch(f"/api/training/{job.pk}", {"method": "lora"}).json()["config"]["learning_rate"] == 1e-3


@pytest.mark.parametrize(
    "change", [{"config": {"lora_r": 0}}, {"model_id": 999}, {"method": "magic"}, {"status": "succeeded"}, {"name": ""}]
)
def test_a_bad_change_is_refused_whole(api: APIClient, alice: User, change: dict) -> None:
    job = in_state(alice, "draft")
    assert api.patch(f"/api/training/{job.pk}", {"config": {"seed": 7}} | change).status_code == 400
    job.refresh_from_db()
    assert (job.name, job.config["seed"], job.status) == ("first run", 42, "draft")


@pytest.mark.parametrize("status", [status for status in STATES if status != "draft"])
def test_a_started_job_cannot_be_changed(api: APIClient, charlie_api: APIClient, alice: User, status: str) -> None:
    job = in_state(alice, status)
    assert api.patch(f"/api/training/{job.pk}", {"name": "other"}).status_code == 409
    assert charlie_api.patch(f"/api/training/{job.pk}", {"name": "other"}).status_code == 404
    job.refresh_from_db()
    assert job.name == "first run"
