"""A machine with n devices runs n jobs, each on its own; a job that wants several gets them in the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accounts.models import User
from tests.training.conftest import make_queued
from training import slots
from training.executors.local import Local
from training.models import DeviceHold, TrainingJob
from training.services.claim_job import claim_job
from training.services.finish_job import Outcome, finish_job


@pytest.fixture(autouse=True)
def two_slots(settings, scripted) -> None:
    settings.TRAINING_SLOTS = 2


def wanting(owner: User, devices: int, name: str) -> TrainingJob:
    return make_queued(owner, name=name, config={"num_gpus": devices})


def take() -> tuple[str, list[str]] | None:
    found = claim_job(executor="scripted")
    return (found[0].name, sorted(found[0].device_holds.values_list("device", flat=True))) if found else None


def end(name: str) -> None:
    job = TrainingJob.objects.get(name=name)
    from training.lease import Lease

    finish_job(
        job=job,
        lease=Lease(job.pk, job.attempt, job.lease_owner),
        outcome=Outcome.FAILED,
        error={"code": "x", "message": "x"},
    )


def test_each_running_job_has_a_device_of_its_own(alice: User, scripted) -> None:
    for name in "abc":
        wanting(alice, 1, name)
    assert [take(), take(), take()] == [("a", ["0"]), ("b", ["1"]), None]
    end("a")
    assert take() == ("c", ["0"])


def test_a_job_of_two_devices_is_not_starved_by_small_ones(alice: User, scripted) -> None:
    wanting(alice, 1, "small")
    assert take() == ("small", ["0"])
    wanting(alice, 2, "large")
    wanting(alice, 1, "later")
    assert take() is None  # device 1 is kept for the large one
    assert TrainingJob.objects.get(name="large").reserved_on
    end("small")
    assert take() == ("large", ["0", "1"])
    assert take() is None
    end("large")
    assert take() == ("later", ["0"])


def test_another_machine_does_not_wait_as_well(alice: User, scripted, settings) -> None:
    wanting(alice, 1, "here")
    take()
    wanting(alice, 2, "large")
    wanting(alice, 1, "small")
    assert take() is None
    settings.MACHINE_NAME = "another"
    from training.lease import machine

    machine.cache_clear()
    wanting(alice, 1, "occupies")
    try:
        DeviceHold.objects.create(job=TrainingJob.objects.get(name="here"), machine=machine(), device="1")
        assert take() == ("small", ["0"])
    finally:
        machine.cache_clear()


def test_a_job_for_more_gpus_than_a_machine_has_is_left_to_another(alice: User, scripted, monkeypatch) -> None:
    monkeypatch.setattr(slots, "_gpus", lambda: ("0", "1"))
    wanting(alice, 4, "huge")
    wanting(alice, 1, "small")
    assert take() == ("small", ["0"])
    assert take() is None


def test_visible_devices_are_the_slots(monkeypatch) -> None:
    monkeypatch.setattr(slots, "_gpus", lambda: ("0", "1", "2", "3"))
    assert slots.slots() == ["0", "1", "2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert slots.slots() == ["2", "3"]


def test_the_engine_sees_its_own_devices_only(alice: User, scripted, take_turn, tmp_path: Path, monkeypatch) -> None:
    wanting(alice, 2, "both")
    job = take_turn()
    assert json.loads((job.run_dir / slots.FILE).read_text()) == ["0", "1"]
    assert not DeviceHold.objects.exists()
    seen = {}
    monkeypatch.setattr("training.executors.local.launch.start", lambda run_dir, socket, env, **_: seen.update(env))
    Local().submit(job.run_dir)
    assert seen["CUDA_VISIBLE_DEVICES"] == "0,1"
