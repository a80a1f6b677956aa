"""Every worker's devices are known to the web process; a run's devices are sampled at a bounded rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from rest_framework.test import APIClient

from finetune.core import board
from training import device_reports, device_samples, supervisor
from training.device_samples import Sampler
from training.devices import Device, list_devices
from training.models import TrainingJob


def pin(machine: str, worker: int, *devices: Device) -> None:
    board.pin(device_reports.BOARD, f"{machine}:{worker}", {"machine": machine, "devices": [asdict(device) for device in devices]})


def gpu(host: str, number: int, used: int = 0) -> Device:
    return Device(f"cuda:{number}", "cuda", "NVIDIA A100", host, 80 * 10**9, used, 0.5)


def cpu(host: str) -> Device:
    return Device("cpu", "cpu", "Processor", host, 10**9, 10**8, 0.1)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for notice in board.read(device_reports.BOARD, fresh_seconds=-1):
        raise AssertionError(notice)  # reading with nothing fresh takes all of them down


def test_all_workers_devices_are_shown_each_once_gpus_first(api: APIClient) -> None:
    pin("one", 1, gpu("one", 0), cpu("one"))
    pin("one", 2, gpu("one", 0), cpu("one"))
    pin("two", 3, gpu("two", 0), gpu("two", 1), cpu("two"))
    found = api.get("/api/training/devices").json()
    assert [(device["host"], device["id"]) for device in found] == [
        ("one", "cuda:0"), ("two", "cuda:0"), ("two", "cuda:1"), ("one", "cpu"), ("two", "cpu"),
    ]  # fmt: skip


def test_a_worker_that_fell_silent_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    pin("gone", 1, gpu("gone", 0))
    monkeypatch.setattr(device_reports, "FRESH_SECONDS", -1)
    assert {device.host for device in device_reports.worker_devices()} == {list_devices()[0].host}


def test_a_worker_reports_until_it_stops() -> None:
    done = threading.Event()
    thread = device_reports.report_until(done)
    deadline = time.monotonic() + 10
    while not (found := board.read(device_reports.BOARD, fresh_seconds=20)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found[0]["devices"][-1]["kind"] == "cpu"
    done.set()
    thread.join(10)
    assert board.read(device_reports.BOARD, fresh_seconds=20) == []


def test_the_rate_falls_with_the_length_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(device_samples.time, "monotonic", lambda: now)
    sampler, taken = Sampler(), 0
    for second in range(86_400):
        now = float(second)
        if sampler.is_due():
            sampler.take(None, [])
            taken += 1
    assert 500 < taken < 1500


@pytest.mark.django_db
def test_a_run_keeps_samples_of_its_devices(queued: TrainingJob, scripted, take_turn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_samples, "FIRST_SECONDS", 0.02)
    scripted.script = {"total": 10, "seconds": 0.03}
    job = take_turn()
    samples = [event.payload for event in job.events.filter(kind="memory") if "devices" in event.payload]
    assert samples
    assert samples[-1]["devices"][0]["memory_used_bytes"] > 0
    assert job.memory.get("peak_bytes", 0) == 0  # a machine's memory is not the run's own
    assert job.status == "succeeded"


@pytest.mark.django_db
def test_a_run_elsewhere_is_not_measured_here(queued: TrainingJob, scripted, take_turn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_samples, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(scripted, "is_here", False)
    monkeypatch.setattr(scripted, "devices", lambda self, run_dir: [])
    assert not take_turn().events.filter(kind="memory").exists()
    assert supervisor.POLL_SECONDS == 0.02
