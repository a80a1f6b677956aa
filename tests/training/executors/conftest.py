"""Places where runs go, each as it really is but for what lies beyond our network: a loopback Hub whose containers are processes.

The engine in a container is the scripted one of tests/training (real processes and run directories, no training), except in
test_same_losses.py.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Credential, User
from finetune.core import crypto
from tests.loopback_cloud import CloudHub
from tests.loopback_modal import LoopbackModal
from tests.training.conftest import make_queued
from training import supervisor
from training.executors import EXECUTORS, hf_jobs, hf_spaces, joblog, jobmetrics, parcel, placement
from training.executors import modal as modal_executor
from training.models import TrainingJob
from training.services.claim_job import claim_job

TOKEN = "hf_plantedPlantedPlanted1234"
ENGINE = Path(__file__).parents[1] / "scripted_engine.py"
MAIN = (
    b"import sys\nfrom pathlib import Path\nfrom training.engine.scripted_engine import main\nsys.exit(main(Path(sys.argv[2])))\n"
)
AT_HUGGING_FACE = ("hf_jobs", "hf_spaces")
REMOTE = (*AT_HUGGING_FACE, "modal")
MODAL_TOKENS = {"id": "ak-good", "secret": "as-goodPlantedPlanted"}
# What `make test` runs of this directory; `make test-cloud` (CLOUD=all) runs everything.
SMOKE = {
    "test_it_keeps_to_the_protocol", "test_a_run_goes_from_start_to_end_and_leaves_nothing_behind",
    "test_a_worker_that_dies_is_replaced_and_nothing_is_missing_or_doubled[hf_jobs]", "test_a_killed_engine_goes_on_from_its_checkpoint[hf_spaces]",
    "test_a_submit_whose_answer_is_lost_is_found_and_not_doubled", "test_a_build_that_fails_ends_the_job_at_once",
    "test_a_budget_that_is_used_up_stops_the_run_with_its_checkpoint[hf_jobs]", "test_nothing_secret_is_written_anywhere",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        quick = (
            {item.name, item.name.partition("[")[0]} & SMOKE or here not in item.path.parents or item.get_closest_marker("quick")
        )
        if not quick and os.environ.get("CLOUD") != "all":
            item.add_marker(pytest.mark.skip(reason="make test-cloud"))


@pytest.fixture
def hub(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudHub]:
    """The loopback Hub; alice's token may write there."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jobmetrics, "AGAIN_SECONDS", 0.2)
    for module in (hf_jobs, hf_spaces):
        monkeypatch.setattr(module, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(hf_spaces, "LOG_SECONDS", 0.5)
    monkeypatch.setattr(joblog, "AGAIN_SECONDS", 0.2)
    monkeypatch.setattr("finetune.core.hub_jobs.FIND_SECONDS", 0.05)
    for executor in (hf_jobs.HfJobs, hf_spaces.HfSpaces):
        monkeypatch.setattr(executor, "poll_seconds", 0.05)
    settings.DATA_DIR = tmp_path
    with CloudHub() as server:
        server.add_token(TOKEN, "alice", role="write")
        settings.HF_ENDPOINT = server.url
        yield server


def store_token(user: User, token: str = TOKEN, role: str = "write") -> Credential:
    values = {"ciphertext": crypto.encrypt(token), "last4": token[-4:], "checked_at": timezone.now()}
    info = {"username": user.username, "role": role, "orgs": []}
    return Credential.objects.create(owner=user, kind=Credential.Kind.HUGGING_FACE, info=info, **values)


@pytest.fixture
def modal_server(modal_process: LoopbackModal, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackModal]:
    """An empty one."""
    monkeypatch.setattr(modal_executor, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(modal_executor, "SUBMIT_WAITS", (0.05, 0.05, 0.05))
    monkeypatch.setattr(modal_executor.Modal, "poll_seconds", 0.05)
    modal_process.accepted = {tuple(MODAL_TOKENS.values())}
    yield modal_process
    modal_process.forget()


def store_modal_tokens(user: User) -> Credential:
    values = {"ciphertext": crypto.encrypt(json.dumps(MODAL_TOKENS)), "last4": "good", "checked_at": timezone.now()}
    return Credential.objects.create(owner=user, kind=Credential.Kind.MODAL, **values)


class Place:
    """One executor to try: `script` is what the engine does there, `scripts[n]` in attempt n."""

    def __init__(self, name: str, owner: User, hub: CloudHub, modal: LoopbackModal):
        self.name, self.owner, self.hub, self.modal = name, owner, hub, modal
        self.script: dict[str, Any] = {"total": 5}
        self.scripts: dict[int, dict[str, Any]] = {}

    def queue(self, **values: Any) -> TrainingJob:
        hardware = {"local": "", "modal": "T4"}.get(self.name, "cpu-basic")
        return make_queued(self.owner, executor=self.name, **{"hardware": hardware, **values})

    def turn(self, stop_at: int | None = None) -> TrainingJob:
        """One turn of a worker; with `stop_at` it is told to stop when that step is in our copy of the events."""
        found = claim_job(executor=self.name)
        assert found
        job, stop = found[0], threading.Event()
        if stop_at is not None:
            threading.Thread(target=_stop_at, args=(stop, job.run_dir / "events.jsonl", stop_at), daemon=True).start()
        supervisor.follow(*found, stop=stop)
        job.refresh_from_db()
        return job

    @property
    def left_behind(self) -> list[str]:
        """What the provider still holds of ours besides the buckets of jobs that failed or were cancelled in their course."""
        resumable = TrainingJob.objects.filter(status__in=TrainingJob.ENDED_BADLY, progress__step__gt=0)
        kept = {placement.Placement(pk, 1, 0, "", 0).shared_key for pk in resumable.values_list("pk", flat=True)}
        return [name for name in self.held if name.split("/")[-1] not in kept]

    @property
    def held(self) -> list[str]:
        """What the provider holds of ours."""
        running = [job.id for job in self.hub.jobs.all if not job.over]
        running += [box.id for box in self.modal.boxes if not box.status]
        running += [name for name in self.modal.volumes if name.startswith("aift-")]
        return [*running, *self.hub.buckets, *(f"{kind}/{name}" for kind, name in self.hub.repos if "/aift-" in name)]


@pytest.fixture(params=["local", *REMOTE])
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Every executor in turn."""
    return make_place(request.param)


@pytest.fixture(params=REMOTE)
def far(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Every executor that runs somewhere else."""
    return make_place(request.param)


@pytest.fixture(params=AT_HUGGING_FACE)
def at_hugging_face(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    return make_place(request.param)


@pytest.fixture
def make_place(
    alice: User, hub: CloudHub, modal_server: LoopbackModal, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Place]:
    """A place by its executor's name."""
    store_token(alice)
    store_modal_tokens(alice)

    def make(name: str) -> Place:
        found = Place(name, alice, hub, modal_server)
        if name == "local":
            monkeypatch.setitem(EXECUTORS, "local", "tests.training.scripted.Scripted")
            monkeypatch.setattr(scripted, "script", found.script)
            monkeypatch.setattr(scripted, "scripts", found.scripts)
        else:
            _script_the_container(found, monkeypatch)
        return found

    return make


def _script_the_container(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is sent along holds the scripted engine in the place of the real one, the run directory its script."""
    code, run = parcel.code_files, parcel.run_files

    def with_script(run_dir: Path, placed: Any) -> Any:
        script = place.scripts.get(placed.attempt, place.script)
        sent = {f"{parcel.RUN}/model/config.json": b"{}", f"{parcel.RUN}/script.json": json.dumps(script).encode()}
        return run(run_dir, placed) | sent

    replaced = {"code/training/engine/__main__.py": MAIN, "code/training/engine/scripted_engine.py": ENGINE}
    monkeypatch.setattr(parcel, "code_files", lambda: code() | replaced)
    monkeypatch.setattr(parcel, "run_files", with_script)


def _stop_at(stop: threading.Event, events: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (events.exists() and f'"step": {step},' in events.read_text()):
        time.sleep(0.02)
    stop.set()


def copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
