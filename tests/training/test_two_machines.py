"""Machines that share a database and a bucket, but no disk: one dies, another goes on, and the pages show all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from finetune.core import bucket, storage, store
from finetune.core.errors import Unavailable
from models_app.models import LanguageModel
from tests.ops.launched import wait_until
from tests.training.conftest import claimed, make_queued, steps_of
from tests.training.scripted import Scripted
from tests.training.test_supervisor import consecutive, expire, reasons
from training import lease, run_files, sharing, supervisor
from training.engine import checkpoints
from training.engine.rundir import RunDir
from training.models import JobEvent, TrainingJob
from training.services.delete_job import delete_job
from training.services.list_run_files import list_checkpoints, list_run_files
from training.services.read_log import read_log
from training.services.resume_job import resume_job
from training.superseded import stop_superseded

# Files are published from a thread of their own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def go(on: Callable[[str], Path], settings: Any) -> Any:
    """Be on another machine."""

    def to(machine: str) -> Path:
        settings.MACHINE_NAME = machine
        lease.machine.cache_clear()
        return on(machine)

    to("a")
    yield to
    lease.machine.cache_clear()


@pytest.fixture
def job(go: Any, alice: User, scripted: type[Scripted]) -> TrainingJob:
    """Queued; its rows were made on machine a."""
    job = make_queued(alice)
    store.publish(job.dataset.directory / "rows.parquet")
    return job


def there(job: TrainingJob) -> set[str]:
    return {path.name for path in store.published(storage.job_dir(job.pk))}


def die(scripted: type[Scripted], job: TrainingJob) -> None:
    """The machine and everything on it."""
    for process in scripted.processes:
        process.kill()
    expire(job)


def save(run: RunDir, step: int) -> None:
    staged = checkpoints.stage(run.checkpoints, step)
    (staged / "weights").write_text(str(step))
    checkpoints.commit(staged, run.checkpoints, step)


def test_when_a_machine_dies_another_one_goes_on(job: TrainingJob, go: Any, scripted, take_turn, objects) -> None:
    scripted.scripts = {1: {"total": 12, "save_every": 4, "seconds": 0.1}, 2: {"total": 12, "save_every": 4}}
    take_turn(stop_at=10)
    (job.refresh_from_db(), (job.run_dir / "engine.log").write_text("hello from a\n"))
    wait_until(lambda: "checkpoint-8" in there(job), 20, "the checkpoint is in the bucket")
    die(scripted, job)

    go("b")
    assert not storage.job_dir(job.pk).exists()
    job = take_turn()
    assert (job.status, job.restarts, job.attempt) == ("queued", 1, 1)
    assert "The machine that ran it (a) has gone silent." in reasons(job)[-1]
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert steps_of(job) == list(range(1, 13)) and consecutive(job)
    begun = job.events.filter(kind="log", payload__details__has_key="resumed_from_step")
    assert [event.payload["details"]["resumed_from_step"] for event in begun] == [0, 8]

    go("web")
    assert [model.pk for model in LanguageModel.objects.filter(source="training")] == [job.output_model_id]
    assert (job.output_model.directory / "adapter_model.safetensors").is_file()
    assert {row["step"] for row in list_checkpoints(job=job) if row["kept"]} == {4, 8, 12}
    assert "2/checkpoints/checkpoint-12/weights" in {file["path"] for file in list_run_files(job=job)}
    assert storage.checkpoint_dir(job.pk, 12) == storage.attempt_dir(job.pk, 2) / "checkpoints" / "checkpoint-12"

    delete_job(job=job)
    assert not any("/runs/" in name for name in objects())


def test_the_log_can_be_read_elsewhere(job: TrainingJob, go: Any, scripted, take_turn) -> None:
    log = RunDir(storage.attempt_dir(job.pk, 1)).log_file
    scripted.script = {"total": 3, "seconds": 0.1}
    submit = scripted.submit
    scripted.submit = lambda self, run_dir: (log.write_text("hello from a\n"), submit(self, run_dir))
    try:
        take_turn()
    finally:
        scripted.submit = submit
    go("web")
    job.refresh_from_db()
    assert read_log(job=job) == "hello from a\n"


def test_only_recorded_checkpoints_are_published_and_let_go_ones_forgotten(job: TrainingJob, go: Any) -> None:
    """A gap in the curve would stay for ever if somebody went on from a checkpoint whose points nobody recorded."""
    held = claimed(job)
    run = RunDir(run_files.prepare_run(job))
    save(run, 8)
    sharing.publish_checkpoints(held)
    assert there(job) == set()

    def record(step: int) -> None:
        event = {"kind": "checkpoint", "step": step, "path": f"checkpoints/checkpoint-{step}", "bytes": 1}
        supervisor.record_events(lease=held, events=[event], offset=0)

    record(8)
    sharing.publish_checkpoints(held)
    assert there(job) == {"checkpoint-8"}
    save(run, 16)
    record(16)
    checkpoints.keep_newest(run.checkpoints, 1)
    sharing.publish_checkpoints(held)
    assert there(job) == {"checkpoint-16"}


def test_an_attempt_publishes_what_it_began_with(job: TrainingJob, go: Any) -> None:
    """The best checkpoint so far may be an earlier attempt's, and the next machine looks in one attempt only."""
    claimed(job)
    first = RunDir(run_files.prepare_run(job))
    save(first, 8)
    TrainingJob.objects.filter(pk=job.pk).update(
        status="queued", rewinds=[{"attempt": 2, "step": 8, "from_attempt": 1}], lease_owner=""
    )
    job.refresh_from_db()
    held = claimed(job)
    run_files.prepare_run(job)
    sharing.publish_checkpoints(held)
    assert there(job) == {"checkpoint-8"}
    assert {path.parts[-3] for path in store.published(storage.job_dir(job.pk))} == {"2"}


def test_a_store_that_is_down_at_the_end_is_waited_for(job: TrainingJob, go: Any, take_turn, monkeypatch) -> None:
    refused: list[str] = []

    def put(name: str, content: Any, put: Any = bucket.put) -> None:
        if "models/" in name and len(refused) < 3:
            refused.append(name)
            raise Unavailable("The shared store does not answer.", code=bucket.SILENT)
        put(name, content)

    monkeypatch.setattr(bucket, "put", put)
    job = take_turn()
    assert (job.status, job.attempt, len(refused)) == ("succeeded", 1, 3)
    assert LanguageModel.objects.filter(source="training").count() == 1
    warnings = [event.payload["text"] for event in job.events.filter(kind=JobEvent.Kind.WARNING)]
    assert warnings == ["The shared store does not answer. The job waits for it."]


def test_a_store_that_is_down_at_the_start_is_waited_for(job: TrainingJob, go: Any, take_turn, monkeypatch) -> None:
    go("b")
    refused: list[str] = []

    def get(name: str, target: Path, get: Any = bucket.get) -> None:
        if len(refused) < 2:
            refused.append(name)
            raise Unavailable("The shared store does not answer.", code=bucket.SILENT)
        get(name, target)

    monkeypatch.setattr(bucket, "get", get)
    assert take_turn().status == "succeeded"


def test_rows_that_are_lost_fail_the_job_in_words(job: TrainingJob, go: Any, take_turn, objects) -> None:
    bucket.delete([name.removeprefix("aift/") for name in objects()])
    go("b")
    job = take_turn()
    assert job.status == "failed" and "missing in the shared store" in job.error["message"]


def test_a_resumed_job_learns_from_the_same_rows_wherever_it_goes_on(job: TrainingJob, go: Any, scripted, take_turn) -> None:
    rows = job.dataset.rows_file.read_bytes()
    scripted.scripts = {1: {"total": 12, "save_every": 4, "fail_at": 10}, 2: {"total": 12}}
    assert take_turn().status == "failed"
    (job.dataset.directory / "rows.parquet").unlink()
    (job.dataset.directory / "rows.parquet").write_bytes(b"divided anew")
    store.publish(job.dataset.directory / "rows.parquet")

    go("b")
    job.refresh_from_db()
    resume_job(job=job)
    job = take_turn()
    assert job.status == "succeeded" and steps_of(job) == list(range(1, 13))
    assert (job.run_dir / run_files.TRAIN_FILE).read_bytes() == rows


def test_going_back_to_a_checkpoint_that_another_machine_made(job: TrainingJob, go: Any, scripted, take_turn) -> None:
    scripted.scripts = {1: {"total": 12, "save_every": 4, "fail_at": 10}, 2: {"total": 12}}
    assert take_turn().status == "failed"
    go("web")
    job.refresh_from_db()
    resume_job(job=job, checkpoint=4)
    go("b")
    job = take_turn()
    assert job.status == "succeeded"
    begun = job.events.filter(kind="log", payload__details__has_key="resumed_from_step").order_by("-seq")
    assert begun.first().payload["details"]["resumed_from_step"] == 4


def test_the_engine_of_an_attempt_that_was_given_up_is_stopped(job: TrainingJob, go: Any, scripted, take_turn) -> None:
    """Machine a was out of sight, not dead: its engine would keep its GPU for nothing."""
    scripted.scripts = {1: {"total": 500, "seconds": 0.1}, 2: {"total": 2}}
    take_turn(stop_at=1)
    assert stop_superseded() == 0
    expire(job)
    go("b")
    take_turn()
    assert take_turn().status == "succeeded"
    go("a")
    assert stop_superseded() == 1
    wait_until(lambda: scripted.processes[0].poll() is not None, 10, "the engine is gone")
    assert stop_superseded() == 0
