"""Events become rows exactly once, and only by the holder of the lease."""

from __future__ import annotations

import pytest

from accounts.models import User
from tests.factories import make_job
from tests.training.conftest import claimed, make_queued, steps_of
from training.lease import Lease, LeaseLost
from training.models import JobEvent, TrainingJob
from training.services.record_events import record_events


def metric(step: int, split: str = "train", **values: float) -> dict:
    values = values or {"loss": 1 / (step + 1)}
    return {
        "kind": "metric",
        "time": 1.0,
        "step": step,
        "epoch": 0.1,
        "split": split,
        "values": values,
        "elapsed_seconds": step * 2.0,
    }


@pytest.fixture
def lease(queued: TrainingJob) -> Lease:
    return claimed(queued)


def test_it_numbers_events_without_gaps_and_moves_the_offset(queued: TrainingJob, lease: Lease) -> None:
    before = TrainingJob.objects.get(pk=queued.pk).last_seq
    record_events(lease=lease, events=[metric(1), metric(2)], offset=200)
    record_events(lease=lease, events=[metric(3)], offset=300)
    queued.refresh_from_db()
    assert (queued.events_offset, queued.last_seq) == (300, before + 3)
    assert list(queued.events.values_list("seq", flat=True)) == list(range(1, before + 4))


def test_it_keeps_the_newest_numbers_on_the_job(queued: TrainingJob, lease: Lease) -> None:
    started = {"kind": "started", "time": 1.0, "resumed_from_step": 0, "total_steps": 10, "device": "cpu"}
    memory = {"kind": "memory", "time": 1.0, "peak_bytes": 500, "device": "cpu"}
    evals = [metric(2, "eval", eval_loss=2.0), metric(4, "eval", eval_loss=1.0), metric(6, "eval", eval_loss=1.5)]
    train = [metric(step, loss=3.0 - step / 10, tokens_per_second=50.0) for step in range(1, 7)]
    record_events(lease=lease, events=[started, {"kind": "phase", "phase": "training"}, *train, *evals, memory], offset=1)
    queued.refresh_from_db()
    assert queued.phase == "training"
    assert {
        "loss": 2.4,
        "first_loss": 2.9,
        "eval_loss": 1.5,
        "best_eval_loss": 1.0,
        "first_eval_loss": 2.0,
    }.items() <= queued.metrics.items()
    assert queued.progress["fraction"] == 0.6
    assert queued.progress["tokens_per_second"] == 50.0
    assert queued.progress["eta_seconds"] == pytest.approx(8.0)  # 4 steps left at 2 s
    assert queued.memory == {"peak_bytes": 500, "device": "cpu"}


def test_the_eta_survives_events_that_say_nothing_about_speed(queued: TrainingJob, lease: Lease) -> None:
    started = {"kind": "started", "time": 1.0, "total_steps": 10}
    record_events(lease=lease, events=[started, metric(1), metric(2)], offset=1)
    record_events(lease=lease, events=[{"kind": "log", "level": "info", "text": "hello"}], offset=2)
    queued.refresh_from_db()
    assert queued.progress["eta_seconds"] == pytest.approx(16.0)


def test_a_stale_lease_writes_nothing(queued: TrainingJob, lease: Lease) -> None:
    rows, offset = JobEvent.objects.count(), TrainingJob.objects.get(pk=queued.pk).events_offset
    for stale in (Lease(queued.pk, lease.attempt, "another worker"), Lease(queued.pk, lease.attempt + 1, lease.owner)):
        with pytest.raises(LeaseLost):
            record_events(lease=stale, events=[metric(1)], offset=99)
    queued.refresh_from_db()
    assert (JobEvent.objects.count(), queued.events_offset) == (rows, offset)


def test_points_an_earlier_attempt_recorded_are_skipped(queued: TrainingJob, lease: Lease, scripted) -> None:
    record_events(lease=lease, events=[metric(step) for step in range(1, 7)] + [metric(6, "eval", eval_loss=1.0)], offset=1)
    TrainingJob.objects.filter(pk=queued.pk).update(status="queued", lease_owner="")
    second = claimed(queued)
    repeats = [metric(step) for step in range(4, 10)]
    evals = [metric(6, "eval", eval_loss=1.0), metric(9, "eval", eval_loss=0.5)]
    record_events(lease=second, events=[*repeats, *evals], offset=1)
    assert steps_of(queued) == list(range(1, 10))
    assert steps_of(queued, "eval") == [6, 9]


def test_a_sample_answer_is_recorded_once(queued: TrainingJob, lease: Lease, scripted) -> None:
    def sample(step: int, text: str) -> dict:
        return {"kind": "sample", "time": 1.0, "step": step, "prompt": "Hello?", "text": text}

    record_events(lease=lease, events=[sample(5, "a"), sample(10, "b")], offset=1)
    TrainingJob.objects.filter(pk=queued.pk).update(attempt=2)
    second = Lease(queued.pk, 2, lease.owner)
    record_events(lease=second, events=[sample(10, "b"), sample(15, "c"), sample(15, "d")], offset=1)
    found = [(event.payload["step"], event.payload["text"]) for event in queued.events.filter(kind="sample").order_by("seq")]
    assert found == [(5, "a"), (10, "b"), (15, "c"), (15, "d")]


def test_unknown_kinds_are_no_rows_but_move_the_offset(queued: TrainingJob, lease: Lease) -> None:
    rows = JobEvent.objects.count()
    assert record_events(lease=lease, events=[{"kind": "noise", "time": 1.0}], offset=50) == []
    queued.refresh_from_db()
    assert (JobEvent.objects.count(), queued.events_offset) == (rows, 50)


def test_jobs_count_their_events_by_themselves(alice: User, lease: Lease, scripted) -> None:
    other = claimed(make_queued(alice, name="other"))
    record_events(lease=lease, events=[metric(1)], offset=1)
    record_events(lease=other, events=[metric(1)], offset=1)
    for job in TrainingJob.objects.all():
        assert list(job.events.values_list("seq", flat=True)) == [1, 2]


def test_a_job_nobody_runs_takes_no_events(alice: User) -> None:
    job = make_job(alice)
    with pytest.raises(LeaseLost):
        record_events(lease=Lease(job.pk, 1, "w"), events=[metric(1)], offset=1)
