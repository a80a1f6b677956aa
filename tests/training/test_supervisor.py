"""A run is followed to its end whatever happens to its worker, its engine or its user."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.models import User
from finetune.core.errors import Unavailable
from models_app.models import LanguageModel
from tests.training.conftest import claimed, make_queued, steps_of
from training import supervisor
from training.executors import AccessRefused, State
from training.models import JobEvent, TrainingJob
from training.services.cancel_job import cancel_job
from training.services.claim_job import claim_job
from training.services.finish_job import MAX_RESTARTS
from training.services.resume_job import resume_job

pytestmark = pytest.mark.django_db


def consecutive(job: TrainingJob) -> bool:
    return list(job.events.values_list("seq", flat=True)) == list(range(1, job.last_seq + 1))


def reasons(job: TrainingJob) -> list[str]:
    return [event.payload["reason"] for event in job.events.filter(kind="status")]


def expire(job: TrainingJob) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(hours=1))


def test_a_run_becomes_a_version(queued: TrainingJob, take_turn) -> None:
    job = take_turn()
    assert (job.status, job.phase, job.attempt, job.error) == ("succeeded", "", 1, None)
    assert steps_of(job) == [1, 2, 3, 4, 5]
    assert consecutive(job)
    assert job.progress["step"] == 5
    assert job.progress["total_steps"] == 5
    assert job.progress["fraction"] == 1.0
    assert job.metrics["loss"] == pytest.approx(0.2)
    assert job.metrics["best_eval_loss"] == 0.25
    assert (job.output_model.origin, job.output_model.adapter, job.output_model.version) == (f"job-{job.pk}", True, 1)
    assert job.started_at <= job.finished_at
    assert job.lease_owner == ""
    assert take_turn() is None


def test_the_run_directory_is_whole_and_holds_no_secret(queued: TrainingJob, take_turn, settings) -> None:
    job = take_turn()
    assert (job.run_dir / "data" / "train.parquet").stat().st_ino == job.dataset.rows_file.stat().st_ino
    for file in job.run_dir.rglob("*"):
        if file.is_file():
            assert settings.SECRET_KEY.encode() not in file.read_bytes()


def test_jobs_run_in_the_order_they_were_queued(queued: TrainingJob, alice: User, take_turn) -> None:
    second = make_queued(alice, name="second", model=queued.model, dataset=queued.dataset)
    assert (queued.queue_position, second.queue_position) == (1, 2)
    assert take_turn().pk == queued.pk
    second.refresh_from_db()
    assert second.queue_position == 1
    assert take_turn().pk == second.pk


def test_a_stopping_worker_leaves_the_engine_running_and_the_next_adopts_it(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 30, "seconds": 0.05}
    job = take_turn(stop_at=5)
    assert (job.status, job.attempt) == ("running", 1)
    assert scripted().is_alive(job.run_dir)
    before = len(steps_of(job))
    job = take_turn()
    assert (job.status, job.attempt, len(scripted.processes)) == ("succeeded", 1, 1)
    assert before < 30
    assert steps_of(job) == list(range(1, 31))
    assert consecutive(job)


def test_a_worker_that_lost_its_lease_writes_nothing(queued: TrainingJob, scripted) -> None:
    lease = claimed(queued)
    TrainingJob.objects.filter(pk=queued.pk).update(lease_owner="somebody else")
    before = JobEvent.objects.count()
    supervisor.follow(queued, lease, stop=threading.Event())
    queued.refresh_from_db()
    assert (queued.status, queued.lease_owner, JobEvent.objects.count()) == ("running", "somebody else", before)
    assert not LanguageModel.objects.filter(source="training").exists()


def test_a_killed_engine_resumes_and_no_point_is_missing_or_doubled(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.scripts = {1: {"total": 12, "save_every": 4, "kill_at": 6}, 2: {"total": 12, "save_every": 4}}
    job = take_turn()
    assert (job.status, job.restarts) == ("queued", 1)
    assert "killed" in reasons(job)[-1]
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert steps_of(job) == list(range(1, 13))
    assert consecutive(job)


def test_an_engine_that_dies_each_time_fails_the_job_in_the_end(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 9, "kill_at": 2}
    for number in range(MAX_RESTARTS):
        assert (take_turn().status, number) == ("queued", number)
    job = take_turn()
    assert (job.status, job.error["code"], job.attempt) == ("failed", "killed", MAX_RESTARTS + 1)
    assert job.error["hint"]
    assert job.output_model is None
    assert take_turn() is None


def test_a_failure_is_told_with_its_hint_and_the_end_of_the_log(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 9, "fail_at": 3}
    job = take_turn()
    assert (job.status, job.error["code"], job.error["hint"]) == ("failed", "nan_loss", "Lower learning_rate.")
    assert "step 3" in job.error["message"]
    assert job.events.filter(kind="error").count() == 1
    assert "log_tail" in job.error


def test_an_engine_that_gives_up_without_a_word_is_not_started_again(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 9, "exit_at": 3}
    job = take_turn()
    assert (job.status, job.error["code"], job.restarts) == ("failed", "internal", 0)
    assert "exit code 7" in job.error["message"]


def test_a_cancelled_run_keeps_its_checkpoint_and_resumes_from_it(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 200, "seconds": 0.02}
    job = take_turn(stop_at=5)
    cancel_job(job=job)
    job = take_turn()
    assert job.status == "cancelled"
    last = steps_of(job)[-1]
    assert last < 200
    assert (job.run_dir / f"checkpoints/checkpoint-{last}").exists()
    assert job.output_model is None
    scripted.script = {"total": last + 3}
    resume_job(job=job)
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert steps_of(job) == list(range(1, last + 4))


def test_a_cancelled_engine_that_does_not_listen_is_killed(queued: TrainingJob, scripted, take_turn, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "TERMINATE_SECONDS", 0.1)
    scripted.script = {"total": 2, "seconds": 60}
    job = take_turn(stop_at=0)
    cancel_job(job=job)
    started = time.monotonic()
    assert take_turn().status == "cancelled"
    assert time.monotonic() - started < 10


def test_a_stop_that_nobody_asked_for_goes_back_to_the_queue_uncounted(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.scripts = {1: {"total": 200, "seconds": 0.02}, 2: {"total": 200}}
    job = take_turn(stop_at=5)
    (job.run_dir / "cancel").touch()  # what a machine that goes down makes of a SIGTERM
    job = take_turn()
    assert (job.status, job.restarts) == ("queued", 0)
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert steps_of(job) == list(range(1, 201))


def test_a_torn_line_of_events_is_skipped(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 5, "torn_at": 3}
    job = take_turn()
    assert job.status == "succeeded"
    assert steps_of(job) == [1, 2, 3, 4, 5]


def test_a_run_that_was_claimed_but_never_started_is_started_by_the_next_worker(queued: TrainingJob, take_turn) -> None:
    claimed(queued)
    expire(queued)
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 1)


def test_a_missing_dataset_file_fails_the_job_in_words(queued: TrainingJob, take_turn) -> None:
    queued.dataset.rows_file.unlink()
    job = take_turn()
    assert (job.status, job.error["code"]) == ("failed", "bad_data")
    assert job.finished_at


def test_an_unreadable_result_fails_the_job_and_leaves_no_version(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 400, "seconds": 0.01}
    job = take_turn(stop_at=5)
    (job.run_dir / "output").write_text("in the way")
    with open(job.run_dir / "events.jsonl", "a") as file:
        scripted.processes[0].kill()
        scripted.processes[0].wait()
        file.write('{"kind": "finished", "time": 1.0, "outcome": "succeeded", "step": 400}\n')
    job = take_turn()
    assert (job.status, job.error["code"], job.output_model) == ("failed", "output_lost", None)
    assert not LanguageModel.objects.filter(source="training").exists()


def test_a_database_that_lost_its_last_writes_is_told_them_again(queued: TrainingJob, scripted, take_turn, monkeypatch) -> None:
    """A fail-over to a copy that was a moment behind: what was written is gone, and the file still has it."""
    scripted.script = {"total": 12, "seconds": 0.03}
    record, troubles = supervisor.record_events, []

    def put_back(**values) -> None:
        before = TrainingJob.objects.filter(pk=queued.pk).values("events_offset", "last_seq").get()
        record(**values)
        if not troubles and len(steps_of(queued)) >= 4:
            JobEvent.objects.filter(job=queued, seq__gt=before["last_seq"]).delete()
            TrainingJob.objects.filter(pk=queued.pk).update(**before)
            troubles.append("gone")
            failing.append(OperationalError("server closed the connection unexpectedly"))

    failing: list[OperationalError] = []
    hold = supervisor._Follower._hold

    def holding(follower) -> None:
        if failing:
            raise failing.pop()
        hold(follower)

    monkeypatch.setattr(supervisor, "record_events", put_back)
    monkeypatch.setattr(supervisor._Follower, "_hold", holding)
    monkeypatch.setattr(supervisor.connection, "close", lambda: None)  # the test's own transaction
    job = take_turn()
    assert troubles == ["gone"]
    assert job.status == "succeeded"
    assert steps_of(job) == list(range(1, 13))
    assert consecutive(job)


class Stop(threading.Event):
    """Never set; remembers what it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return super().wait(min(timeout or 0.0, 0.01))


@pytest.mark.parametrize("error", [Unavailable("Too many questions.", code="exhausted"), AccessRefused("The token is refused.")])
def test_a_provider_that_does_not_answer_is_given_time(queued: TrainingJob, scripted, monkeypatch, error: Exception) -> None:
    refusals = [error] * 3

    def inspect(self, run_dir) -> State:
        if refusals:
            raise refusals.pop()
        return State(True)

    monkeypatch.setattr(scripted, "is_here", False)
    monkeypatch.setattr(scripted, "is_alive", lambda self, run_dir: True)
    monkeypatch.setattr(scripted, "inspect", inspect)
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 7.0)
    stop = Stop()
    supervisor.follow(*claim_job(executor="scripted"), stop=stop)
    queued.refresh_from_db()
    assert (queued.status, stop.waited.count(7.0), refusals) == ("succeeded", 3, [])
