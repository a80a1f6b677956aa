"""A running installation one can hurt: its API, its processes, its run directories."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.ops.launched import Launched, wait_until
from training.engine import process
from training.engine.rundir import RunDir

# Small enough for some seconds, with everything that carries state: dropout, accumulation, evaluation, several checkpoints.
CONFIG = {
    "max_steps": 40, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_length": 128, "learning_rate": 2e-3,
    "lora_dropout": 0.1, "save_steps": 8, "eval_steps": 20, "logging_steps": 1,
}  # fmt: skip
ENDED = {"succeeded", "failed", "cancelled"}
PARTS = {"web": "finetune.asgi", "worker": "-n train@", "broker": "valkey-server"}


class Installation(Launched):
    """A launched installation with a person in it, a model and a dataset."""

    def __init__(self, data_dir: Path, port: int, **environment: str):
        super().__init__(data_dir, port)
        limits = {"THROTTLE_DEFAULT": "", "THROTTLE_LOGIN": "", "THROTTLE_REGISTER": "", "ACCESS_TOKEN_MINUTES": "1000"}
        # Leases short enough that a killed worker's job is not waited for; the product's default is 45 s.
        self.environment |= {**limits, "JOB_LEASE_SECONDS": "8", **environment}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def prepare(self, seconds: float = 240) -> None:
        """Sign somebody up, make the sample model and its dataset, which takes so long at most."""
        person = {"username": "alice", "email": "alice@example.org", "password": "a-long-enough-passphrase"}
        answer = self.http.post("/api/auth/register", json=person)
        assert answer.status_code == 201, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        self.sample = self.ask("POST", "/api/training/sample")
        for path in (f"/api/models/{self.sample['model_id']}", f"/api/datasets/{self.sample['dataset_id']}"):
            wait_until(lambda path=path: self.ask("GET", path)["status"] == "ready", seconds, path)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The API's answer; while something is being started again the question is asked once more."""
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = self.http.request(method, path, **options)
                if answer.status_code < 500:
                    assert answer.status_code < 400, (path, answer.text)
                    return answer.json()
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"{path} is not answered"
            time.sleep(0.1)

    def start_job(self, *, start: bool = True, **config: Any) -> int:
        """A job on the sample, started; its id. Asked again after a lost answer, it is still one job."""
        body = {"name": "chaos", "method": "lora", **self.sample, "config": CONFIG | config, "start": start}
        return self.ask("POST", "/api/training", json=body, headers={"Idempotency-Key": os.urandom(8).hex()})["id"]

    def job(self, pk: int) -> dict[str, Any]:
        return self.ask("GET", f"/api/training/{pk}")

    def ended(self, pk: int, seconds: float = 150) -> dict[str, Any]:
        wait_until(lambda: self.job(pk)["status"] in ENDED, seconds, f"the end of job {pk}")
        return self.job(pk)

    def run(self, pk: int) -> RunDir:  # type: ignore[override]
        """The newest attempt's run directory."""
        attempts = sorted((self.data_dir / "runs" / str(pk)).glob("[0-9]*"), key=lambda path: int(path.name))
        return RunDir(attempts[-1] if attempts else self.data_dir / "runs" / str(pk) / "1")

    def steps_seen(self, pk: int) -> int:
        """Training steps in the newest attempt's events, straight from the file: as quick as the engine itself."""
        try:
            return self.run(pk).events_file.read_bytes().count(b'"split": "train"')
        except OSError:
            return 0

    # --- Hurting -----------------------------------------------------------------------------------

    def kill(self, part: str, pk: int) -> None:
        """kill -9 of one part. An engine that has ended meanwhile can't be killed any more."""
        if part == "engine":
            process.terminate(self.engine(pk), force=True)
            return
        victim = self.find(PARTS[part])
        assert victim is not None, f"{part} does not run"
        os.kill(victim.pid, signal.SIGKILL)

    def engine(self, pk: int) -> dict[str, Any] | None:
        return self.run(pk).engine()

    def engines(self) -> list[psutil.Process]:
        """Whatever still works in a run directory; the fork server itself works in none."""
        leaders = [self.engine(int(path.name)) for path in (self.data_dir / "runs").glob("[0-9]*")]
        return [psutil.Process(who["pid"]) for who in leaders if process.is_alive(who)]

    def at(self, moment: str, pk: int) -> None:
        """Return as soon as the job is at this moment of its life."""
        watch = MOMENTS[moment]
        deadline = time.monotonic() + 90
        while not watch(self, pk):
            assert time.monotonic() < deadline, f"job {pk} never was {moment}: {self.job(pk)}"
            time.sleep(0.002)


def _is_preparing(here: Installation, pk: int) -> bool:
    return here.run(pk).process_file.exists() and not here.steps_seen(pk)


def _is_training(here: Installation, pk: int) -> bool:
    return here.steps_seen(pk) >= 11


def _is_saving(here: Installation, pk: int) -> bool:
    return here.steps_seen(pk) >= 12 and any(here.run(pk).checkpoints.glob(".staging-*"))


def _is_registering(here: Installation, pk: int) -> bool:
    return here.run(pk).output.exists()


MOMENTS: dict[str, Callable[[Installation, int], bool]] = {
    "queued": lambda here, pk: here.job(pk)["status"] == "queued",
    "preparing": _is_preparing,
    "training": _is_training,
    "saving": _is_saving,
    "registering": _is_registering,
}
