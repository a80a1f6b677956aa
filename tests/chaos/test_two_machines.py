"""Three machines without a common disk: web, a and b share a database, a broker and a bucket. Machine a dies while it trains.

Each has a DATA_DIR of its own. What is uploaded at the web process is trained on a; when everything of a is killed with -9, b goes on
from the newest published checkpoint, to the same losses and weights; the result is downloaded from the web process.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from tests import bucket
from tests.chaos.installation import Installation
from tests.chaos.undisturbed import ALL, check, reference
from tests.ops.launched import free_port, wait_until
from tests.valkey import valkey_server

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600),
    # The same road with a scripted engine is tests/training/test_two_machines.py, in seconds.
    pytest.mark.skipif(not ALL, reason="Part of make test-chaos: it starts three machines."),
]
WORKER = (
    "celery",
    "--quiet",
    "-A",
    "celery_worker",
    "worker",
    "-Q",
    "train,default,celery",
    "--pool",
    "threads",
    "--concurrency",
    "2",
)
WEB = ("uvicorn", "finetune.asgi:application", "--ws", "websockets-sansio", "--no-access-log", "--log-level", "warning")


class Machine(Installation):
    """Some processes of the installation, with a DATA_DIR that no other machine sees."""

    def __init__(self, data_dir: Path, port: int, shared: dict[str, str]):
        data_dir.mkdir()
        super().__init__(data_dir, port, **shared, MACHINE_NAME=data_dir.name, JOB_LEASE_SECONDS="2")
        self.started: list[subprocess.Popen] = []

    def begin(self, *module: str) -> None:
        command = [sys.executable, "-m", *module]
        with open(self.output, "a") as output:
            options = {"cwd": settings.BASE_DIR, "env": self.environment, "stdout": output, "stderr": output}
            self.started.append(subprocess.Popen(command, start_new_session=True, **options))  # type: ignore[call-overload]

    def die(self) -> None:
        """kill -9 of everything on it."""
        for engine in self.engines():
            engine.kill()
        for process in self.everything():
            with_children = [process, *process.children(recursive=True)] if process.is_running() else []
            for each in with_children:
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
        for process in self.started:
            process.wait(timeout=20)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine, Machine, dict[str, str]]]:
    """web (which runs), a (whose worker runs) and b (which does not yet)."""
    with ExitStack() as ends:
        shared = ends.enter_context(bucket.bucket_server())
        shared |= {
            "REDIS_URL": ends.enter_context(valkey_server(tmp_path / "valkey.sock")),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
            "SECRET_KEY": secrets.token_urlsafe(40),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
        port = free_port()
        web, a, b = (Machine(tmp_path / name, port, shared) for name in ("web", "a", "b"))
        for machine in (web, a, b):
            ends.callback(machine.die)
        made = subprocess.run(
            [sys.executable, "manage.py", "migrate"], env=web.environment, cwd=settings.BASE_DIR, capture_output=True
        )
        assert made.returncode == 0, made.stderr
        web.begin(*WEB, "--port", str(port))
        a.begin(*WORKER, "-n", "a@%h")
        wait_until(lambda: web.get("/healthz") == 200, 60, "healthz")
        web.prepare()
        yield web, a, b, shared


def test_when_a_machine_dies_the_job_goes_on_on_another(
    machines: tuple[Machine, Machine, Machine, dict[str, str]],
    undisturbed: dict[str, Any],
) -> None:
    web, a, b, shared = machines
    expected = reference(web, undisturbed)
    pk = web.start_job()
    a.at("training", pk)
    engine = a.engines()[0]
    secret = shared["AWS_SECRET_ACCESS_KEY"]
    assert secret not in str(engine.environ()) and not any(name.startswith("AWS_") for name in engine.environ())
    engine.send_signal(signal.SIGSTOP)  # so that it is in the middle for certain
    wait_until(lambda: kept(web, pk), 30, "a checkpoint is in the bucket")
    a.die()

    b.begin(*WORKER, "-n", "b@%h", "-B", "-s", str(b.data_dir / "run" / "beat-schedule"))
    check(web, pk, expected)
    assert not b.engines()
    job = web.job(pk)
    moves = [event["reason"] for event in web.ask("GET", f"/api/training/{pk}/events?kind=status")["events"]]
    assert job["attempt"] == 2 and any("machine that ran it (a) has gone silent" in reason for reason in moves), moves
    logs = web.ask("GET", f"/api/training/{pk}/events?kind=log")["events"]
    begun = [event["details"]["resumed_from_step"] for event in logs if "resumed_from_step" in event.get("details", {})]
    assert len(begun) == 2 and begun[1] in (8, 16, 24, 32)

    rows = web.ask("GET", f"/api/datasets/{web.sample['dataset_id']}/preview")
    assert rows["rows"] and (web.data_dir / "datasets" / str(web.sample["dataset_id"]) / "rows.parquet").exists()
    model = job["output_model_id"]
    export = web.ask("POST", f"/api/models/{model}/export", json={"format": "adapter"})
    wait_until(lambda: web.ask("GET", f"/api/models/{model}/exports/{export['id']}")["status"] == "ready", 60, "the export")
    file = web.http.get(f"/api/models/{model}/exports/{export['id']}/download", params={"file": "adapter_model.safetensors"})
    assert file.status_code == 200
    assert file.content == (b.data_dir / "models" / str(model) / "adapter_model.safetensors").read_bytes()
    for machine in (web, a, b):
        assert secret not in machine.output.read_text()


def kept(web: Machine, pk: int) -> bool:
    """Whether the web process, which has nothing of the run on its own disk, can offer a checkpoint of it."""
    assert not (web.data_dir / "runs" / str(pk)).exists()
    return any(row["kept"] for row in web.ask("GET", f"/api/training/{pk}/checkpoints"))
