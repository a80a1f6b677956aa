"""A queued job whose engine follows a script, and a worker's slot that follows the job."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.utils import timezone

from accounts.models import User
from finetune.core import storage
from tests.bucket import bucket_environment, objects, on  # noqa: F401
from tests.factories import make_base_model, make_job
from tests.training.scripted import Scripted
from training import supervisor
from training.executors import EXECUTORS
from training.lease import Lease
from training.models import TrainingJob
from training.services.claim_job import claim_job


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """Ids begin again with every test's rollback; files of an earlier job of the same number must not be found."""
    for name in ("runs", "models"):
        storage.remove_tree(configured.DATA_DIR / name)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[type[Scripted]]:
    """The executor under the name `scripted`, with room for several runs; its processes end with the test."""
    settings.TRAINING_SLOTS = 4
    monkeypatch.setitem(EXECUTORS, "scripted", "tests.training.scripted.Scripted")
    monkeypatch.setattr(Scripted, "script", {"total": 5})
    monkeypatch.setattr(Scripted, "scripts", {})
    monkeypatch.setattr(Scripted, "processes", [])
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(supervisor, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.05)
    yield Scripted
    for process in Scripted.processes:
        process.kill()
        process.wait()


@pytest.fixture
def queued(alice: User, scripted: type[Scripted]) -> TrainingJob:
    return make_queued(alice)


def make_queued(owner: User, **values: Any) -> TrainingJob:
    """A waiting job of the scripted executor, on a model of its own."""
    values.setdefault("model", make_base_model(owner, family=f"base-{uuid.uuid4()}"))
    return make_job(
        owner, **{"executor": "scripted", "status": "queued", "queued_at": timezone.now(), "train_split": "train", **values}
    )


@pytest.fixture
def take_turn() -> Callable[..., TrainingJob | None]:
    """One turn of a worker's slot. With `stop_at` its worker is told to stop when the engine has said that step (0: started)."""

    def turn(stop_at: int | None = None) -> TrainingJob | None:
        found = claim_job(executor="scripted")
        if found is None:
            return None
        stop = threading.Event()
        if stop_at is not None:
            threading.Thread(target=_stop_at, args=(stop, found[0].run_dir / "events.jsonl", stop_at), daemon=True).start()
        supervisor.follow(*found, stop=stop)
        found[0].refresh_from_db()
        return found[0]

    return turn


def _stop_at(stop: threading.Event, events: Path, step: int) -> None:
    word = f'"step": {step},' if step else '"started"'
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (events.exists() and word in events.read_text()):
        time.sleep(0.01)
    stop.set()


def claimed(job: TrainingJob) -> Lease:
    """Take this queued job; nobody follows it."""
    found = claim_job(executor=job.executor)
    assert found and found[0].pk == job.pk
    job.refresh_from_db()
    return found[1]


def steps_of(job: TrainingJob, split: str = "train") -> list[int]:
    """The steps of the curve in the order of their sequence numbers."""
    points = job.events.filter(kind="metric").order_by("seq")
    return [event.payload["step"] for event in points if event.payload["split"] == split]
