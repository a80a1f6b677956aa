"""What a crash left is put right: through the real broker and real Celery workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from celery.contrib.testing.worker import start_worker

from accounts.models import User
from celery_worker import app, lifecycle
from tests.training.conftest import claimed, make_queued, steps_of
from training.executors import EXECUTORS
from training.models import TrainingJob
from training.services.reconcile_jobs import reconcile_jobs
from training.services.start_job import run_job, wake_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def local_is_scripted(scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the train queue runs follows a script here; and the queue is empty."""
    monkeypatch.setitem(EXECUTORS, "local", "tests.training.scripted.Scripted")
    with app.connection_for_write() as connection:
        connection.SimpleQueue("train").clear()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)


def succeeded() -> int:
    return TrainingJob.objects.filter(status="succeeded").count()


def test_lost_messages_are_sent_again_but_never_pile_up(alice: User) -> None:
    make_queued(alice, executor="local")
    make_queued(alice, executor="local")
    assert [reconcile_jobs() for _ in range(3)] == [2, 0, 0]


def test_with_nothing_to_do_nothing_is_sent(alice: User) -> None:
    make_queued(alice, executor="local", status="draft")
    assert reconcile_jobs() == 0


def test_a_job_whose_worker_died_gets_another(alice: User) -> None:
    job = make_queued(alice, executor="local")
    lease = claimed(job)
    assert reconcile_jobs() == 0
    lease.release()
    assert reconcile_jobs() == 1


def test_a_worker_runs_every_job_once_however_many_messages_there_are(alice: User, scripted) -> None:
    jobs = [make_queued(alice, executor="local", name=str(number)) for number in range(2)]
    reconcile_jobs()
    for job in jobs:
        wake_worker(job.pk)
    with start_worker(app, queues=["train"], perform_ping_check=False, pool="solo"):
        wait_until(lambda: succeeded() == 2)
    assert len(scripted.processes) == 2
    for job in jobs:
        assert steps_of(job) == [1, 2, 3, 4, 5]
    first, second = TrainingJob.objects.order_by("started_at")
    assert (first.pk, second.pk) == (jobs[0].pk, jobs[1].pk)


def test_a_worker_that_is_stopping_takes_nothing(alice: User) -> None:
    job = make_queued(alice, executor="local")
    lifecycle.stopping.set()
    try:
        run_job(job.pk)
    finally:
        lifecycle.stopping.clear()
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("queued", 0)


def test_a_second_signal_in_the_middle_of_the_first_stops_no_worker_from_stopping(monkeypatch) -> None:
    """Two SIGTERM in a row left a worker waiting for a lock of its own until it was killed."""

    class Interrupted(threading.Event):
        def set(self) -> None:
            lifecycle.on_shutting_down()
            assert not self.is_set(), "the second signal began once more what the first is about"
            super().set()

    stopping = Interrupted()
    monkeypatch.setattr(lifecycle, "stopping", stopping)
    monkeypatch.setattr(lifecycle, "_told", False)
    lifecycle.on_shutting_down()
    assert stopping.is_set()
