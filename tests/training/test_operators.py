"""Pausing a queue and draining a worker: what it does, who may, who is told."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.errors import Conflict, Forbidden, Invalid
from tests.conftest import PASSWORD
from tests.training.conftest import claimed, make_queued
from training import device_reports
from training.models import DrainedWorker, QueuePause, TrainingJob
from training.queue_forecast import Work, seconds_left, starts
from training.services.admit_worker import admit_worker
from training.services.claim_job import claim_job
from training.services.drain_worker import drain_worker
from training.services.open_queue import open_queue
from training.services.pause_queue import pause_queue
from training.services.read_queue import read_queue
from training.services.reconcile_jobs import reconcile_jobs


@pytest.fixture
def worker() -> str:
    device_reports.report_once("tests", "train@tests")
    yield "train@tests"
    device_reports.board.unpin(device_reports.BOARD, "tests")


def test_a_paused_queue_keeps_its_jobs_and_tells_them_why(queued: TrainingJob, olivia: User) -> None:
    pause_queue(by=olivia, executor="scripted", reason="A disk is changed.")
    assert claim_job(executor="scripted") is None
    assert reconcile_jobs() == 0
    assert queued.events.get().payload["text"] == "olivia paused the queue: A disk is changed. This job keeps its place."
    with pytest.raises(Conflict):
        pause_queue(by=olivia, executor="scripted")
    open_queue(by=olivia, executor="scripted")
    assert claim_job(executor="scripted")[0].pk == queued.pk
    with pytest.raises(Conflict):
        open_queue(by=olivia, executor="scripted")


def test_a_run_whose_worker_died_is_adopted_in_a_paused_queue(queued: TrainingJob, olivia: User) -> None:
    claimed(queued).release()
    pause_queue(by=olivia, executor="scripted")
    assert claim_job(executor="scripted")[0].pk == queued.pk


def test_operators_verbs_are_theirs(queued: TrainingJob, alice: User, worker: str) -> None:
    for verb in (pause_queue, open_queue):
        with pytest.raises(Forbidden):
            verb(by=alice, executor="scripted")
    for verb in (drain_worker, admit_worker):
        with pytest.raises(Forbidden):
            verb(by=alice, name=worker)
    assert not (QueuePause.objects.exists() or DrainedWorker.objects.exists() or queued.events.exists())


def test_unknown_names_are_refused(olivia: User, db: None) -> None:
    with pytest.raises(Invalid):
        pause_queue(by=olivia, executor="nowhere")
    with pytest.raises(Invalid):
        drain_worker(by=olivia, name="train@nowhere")


def test_a_drained_worker_takes_nothing_new(queued: TrainingJob, olivia: User, worker: str) -> None:
    drain_worker(by=olivia, name=worker)
    assert claim_job(executor="scripted", worker=worker) is None
    assert claim_job(executor="scripted", worker="train@another")[0].pk == queued.pk
    with pytest.raises(Conflict):
        drain_worker(by=olivia, name=worker)
    admit_worker(by=olivia, name=worker)
    assert not DrainedWorker.objects.exists()


def test_the_runs_of_a_drained_worker_say_so(queued: TrainingJob, olivia: User, worker: str) -> None:
    claimed(queued)
    drain_worker(by=olivia, name=worker)
    assert queued.events.order_by("-seq").first().payload["text"].startswith("olivia drains the worker train@tests.")


def test_starts_are_foreseen_from_what_is_known() -> None:
    hour, unknown = Work(1, 3600.0), Work(1, None)
    assert starts([], [hour, hour, hour], 1) == [0.0, 3600.0, 7200.0]
    assert starts([Work(1, 60.0)], [hour, hour], 2) == [0.0, 60.0]
    assert starts([Work(1, 60.0)], [Work(2, 10.0), hour], 2) == [60.0, 70.0]
    assert starts([unknown], [hour], 1) == [None]
    assert starts([], [unknown, hour], 1) == [0.0, None]
    assert starts([], [hour], 0) == [None]
    estimate = {"duration_seconds": {"low": 100, "high": 300}}
    assert seconds_left("queued", {}, estimate) == 200
    assert seconds_left("running", {"eta_seconds": 5.0}, estimate) == 5
    assert seconds_left("running", {}, None) is None


def test_others_jobs_are_places_without_names(alice: User, charlie: User, olivia: User, scripted, settings) -> None:
    settings.TRAINING_SLOTS = 1
    device_reports.report_once("tests", "train@tests")
    make_queued(alice, name="secret plan", executor="local", estimate={"duration_seconds": {"low": 60, "high": 60}})
    make_queued(charlie, name="mine", executor="local")
    seen = read_queue(user=charlie)
    assert [line.job and line.job.name for line in seen.waiting] == [None, "mine"]
    assert [line.job.name for line in read_queue(user=olivia).waiting] == ["secret plan", "mine"]
    assert seen.slots == 1
    assert 50 < (seen.waiting[1].expected_start - seen.waiting[0].expected_start).total_seconds() < 70


def test_the_page_and_the_api(alice: User, olivia: User, worker: str, page: Client, api: APIClient, scripted) -> None:
    job = make_queued(alice, name="waits", executor="local")
    assert "Move to the front" not in page.get("/training/queue").content.decode()
    assert page.post("/training/queue/pause").status_code == 403
    assert api.post("/api/training/queue/pause").status_code == 403
    assert api.get("/api/training/workers").status_code == 403
    operator = Client()
    operator.login(username="olivia", password=PASSWORD)
    assert "Drain train@tests" in operator.get("/training/queue").content.decode()
    assert operator.post(f"/training/{job.pk}/move-up").status_code == 302
    assert operator.post("/training/queue/pause", {"reason": "Lunch."}).status_code == 302
    shown = page.get("/training/queue").content.decode()
    assert "The queue is paused." in shown
    assert "Lunch." in shown
    told = api.get("/api/training/queue").data
    assert (told["pause"]["reason"], told["waiting"][0]["waits_for"], told["waiting"][0]["mine"]) == ("Lunch.", "pause", True)
    with_api = APIClient()
    with_api.force_authenticate(olivia)
    assert with_api.post("/api/training/queue/open").status_code == 204
    assert with_api.post("/api/training/queue/pause", {"reason": "Dinner."}).data["reason"] == "Dinner."
    assert with_api.post("/api/training/queue/open").status_code == 204
    assert with_api.post("/api/training/workers/drain", {"worker": worker}).status_code == 204
    assert with_api.get("/api/training/workers").data[0]["drained"] is True
    assert with_api.post("/api/training/workers/admit", {"worker": worker}).status_code == 204
    assert with_api.post(f"/api/training/{job.pk}/move-up").status_code == 200
    assert api.post(f"/api/training/{job.pk}/priority", {"priority": -1}).data["priority"] == -1
    assert api.post(f"/api/training/{job.pk}/priority", {"priority": 9}).status_code == 400
