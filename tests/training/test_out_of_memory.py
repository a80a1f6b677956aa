"""A run whose memory runs out goes on with smaller batches, four times at most, and says so."""

from __future__ import annotations

import json

import pytest

from tests.training.conftest import make_queued, steps_of
from training import failures
from training.engine.rundir import RunDir
from training.engine.spec import check_config
from training.micro_batch import fitted
from training.models import TrainingJob
from training.services.reproduce_job import _copy

pytestmark = pytest.mark.django_db


def queued_with(alice, **config) -> TrainingJob:
    return make_queued(alice, config=check_config("lora", config))


def reasons(job: TrainingJob) -> list[str]:
    return [event.payload["reason"] for event in job.events.filter(kind="status")]


@pytest.mark.parametrize("killed", [False, True])
def test_the_batch_is_halved_until_it_fits_and_the_curve_has_every_step_once(alice, scripted, take_turn, killed) -> None:
    scripted.script = {"total": 8, "save_every": 2, "oom_at": 5, "fits": 2, "killed": killed}
    job = queued_with(alice, per_device_train_batch_size=8)
    assert [take_turn().status for _ in range(3)] == ["queued", "queued", "succeeded"]
    job.refresh_from_db()
    assert (job.attempt, job.memory_retries, job.restarts) == (3, 2, 0)
    assert steps_of(job) == list(range(1, 9))
    spec = RunDir(job.run_dir).read_spec()
    assert (spec.config.per_device_train_batch_size, spec.config.gradient_accumulation_steps) == (2, 4)
    assert job.config["per_device_train_batch_size"] == 8  # what was asked for stays on record
    told = " ".join(reasons(job))
    assert "with a batch size of 8" in told and "4 and 2 accumulation steps" in told and "(retry 2 of 4)" in told
    assert sum("memory" in event.payload["text"] for event in job.events.filter(kind="warning")) == 2
    assert not job.events.filter(kind="error").exists() and job.error is None
    assert _copy(job).memory_retries == 2


def test_it_stops_at_one_row_and_fails_with_a_hint(alice, scripted, take_turn) -> None:
    scripted.script = {"total": 8, "oom_at": 2, "fits": 0}
    queued_with(alice, per_device_train_batch_size=3)
    assert take_turn().status == "queued"
    job = take_turn()
    assert (job.status, job.error["code"], job.memory_retries) == ("failed", "out_of_memory", 1)
    assert job.error["hint"] and take_turn() is None


def test_four_times_at_most(alice, scripted, take_turn) -> None:
    scripted.script = {"total": 8, "oom_at": 2, "fits": 0}
    queued_with(alice, per_device_train_batch_size=64)
    assert [take_turn().status for _ in range(5)] == ["queued"] * 4 + ["failed"]


def test_not_when_the_user_does_not_want_it(alice, scripted, take_turn) -> None:
    scripted.script = {"total": 8, "oom_at": 2, "fits": 2}
    queued_with(alice, per_device_train_batch_size=8, retry_on_out_of_memory=False)
    job = take_turn()
    assert (job.status, job.memory_retries) == ("failed", 0)


def test_the_page_says_with_what_it_trains(client, alice, scripted, take_turn) -> None:
    scripted.script = {"total": 3, "oom_at": 2, "fits": 2}
    queued_with(alice, per_device_train_batch_size=4)
    take_turn()
    job = take_turn()
    client.force_login(alice)
    assert "lowered to 2 with 2 accumulation steps" in client.get(f"/training/{job.pk}").content.decode()


@pytest.mark.parametrize(
    ("size", "pieces", "times", "expected"),
    [
        (8, 1, 1, (4, 2)),
        (8, 3, 3, (1, 24)),
        (6, 1, 2, (1, 6)),
        (5, 2, 1, (1, 10)),
        (9, 1, 1, (3, 3)),
        (1, 4, 2, (1, 4)),
        (4, 1, 0, (4, 1)),
    ],
)
def test_the_effective_batch_never_changes(size, pieces, times, expected) -> None:
    config = {"per_device_train_batch_size": size, "gradient_accumulation_steps": pieces, "seed": 1}
    made = fitted(config, times)
    assert (made["per_device_train_batch_size"], made["gradient_accumulation_steps"]) == expected
    assert json.dumps(made).count("seed") == 1


@pytest.mark.parametrize(
    ("cause", "log", "memory"),
    [
        ({"signal": 9, "out_of_memory": True}, "", True),
        ({"signal": 9}, "", False),
        ({"signal": 6}, "memory allocation of 8388608 bytes failed\n", True),
        ({"signal": 6}, "terminate called after throwing an instance of 'std::bad_alloc'\n", True),
        ({"signal": 6}, "assertion failed\n", False),
        ({}, "memory allocation of 1 bytes failed", False),
    ],
)
def test_what_tells_that_a_vanished_engine_ran_out_of_memory(tmp_path, cause, log, memory) -> None:
    (tmp_path / "engine.log").write_text(log)
    assert failures.died_of_memory(RunDir(tmp_path), cause) is memory
