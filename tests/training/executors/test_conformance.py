"""What every executor has to do, asked of every executor."""

from __future__ import annotations

import pytest

from tests.training.conftest import steps_of
from training import executors
from training.executors import Executor
from training.models import TrainingJob
from training.services.cancel_job import cancel_job

pytestmark = pytest.mark.django_db


def consecutive(job: TrainingJob) -> bool:
    return list(job.events.values_list("seq", flat=True)) == list(range(1, job.last_seq + 1))


def test_it_keeps_to_the_protocol(place) -> None:
    executor = executors.load(place.name)
    for name in [name for name in vars(Executor) if not name.startswith("_")]:
        assert hasattr(executor, name), name
    told = executor.capabilities(place.owner)
    assert told.usable
    assert told.hardware
    assert all(item.id and item.name and item.kind in ("cpu", "cuda", "mps") for item in told.hardware)


def test_a_run_goes_from_start_to_end_and_leaves_nothing_behind(place) -> None:
    place.queue()
    job = place.turn()
    assert (job.status, job.phase, job.attempt, job.error) == ("succeeded", "", 1, None)
    assert steps_of(job) == [1, 2, 3, 4, 5]
    assert consecutive(job)
    assert job.output_model.adapter
    assert place.left_behind == []
    if first := executors.load(place.name).first_phase:
        told = list(job.events.filter(kind="phase").order_by("seq").values_list("payload__phase", flat=True))
        assert told[0] == first
        assert told.index("pulling") < told.index("preparing") < told.index("training")


def test_a_worker_that_dies_is_replaced_and_nothing_is_missing_or_doubled(place) -> None:
    place.script |= {"total": 40, "seconds": 0.05}
    place.queue()
    job = place.turn(stop_at=3)
    assert job.status == "running"
    assert executors.load(place.name).is_submitted(job.run_dir)
    assert executors.load(place.name).is_alive(job.run_dir)
    job = place.turn()
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert steps_of(job) == list(range(1, 41))
    assert consecutive(job)


def test_a_cancelled_run_brings_its_checkpoint_home(place) -> None:
    place.script |= {"total": 500, "seconds": 0.05}
    place.queue()
    job = place.turn(stop_at=2)
    cancel_job(job=job)
    job = place.turn()
    assert job.status == "cancelled"
    last = steps_of(job)[-1]
    assert last < 500
    assert (job.run_dir / f"checkpoints/checkpoint-{last}/seal.json").exists()
    assert place.left_behind == []


def test_a_killed_engine_goes_on_from_its_checkpoint(place) -> None:
    place.scripts |= {1: {"total": 12, "save_every": 4, "kill_at": 10, "seconds": 0.15}, 2: {"total": 12, "save_every": 4}}
    place.queue()
    job = place.turn()
    assert (job.status, job.restarts) == ("queued", 1)
    job = place.turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert steps_of(job) == list(range(1, 13))
    assert consecutive(job)
    told = job.events.filter(kind="log", payload__details__has_key="resumed_from_step").order_by("seq")
    assert [event.payload["details"]["resumed_from_step"] for event in told] in ([0, 4], [0, 8])
    assert place.left_behind == []


def test_a_failure_is_told_as_the_engine_told_it(place) -> None:
    place.script |= {"total": 9, "fail_at": 3}
    place.queue()
    job = place.turn()
    assert (job.status, job.error["code"], job.error["hint"]) == ("failed", "nan_loss", "Lower learning_rate.")
    assert place.left_behind == []
