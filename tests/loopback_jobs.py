"""Jobs of the loopback Hub. A Job's command is started as a process: what runs in it is what would run in a container.

A mount is a copy of the repository in a scratch directory, in whose place the command names it. Trouble is arranged on `hub.jobs`:
`lose_answer` (accepted, and the answer is a 504), `end_with(stage, message)` for the next Job that starts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.loopback_cloud import CloudHub

ROOT = Path(__file__).resolve().parents[1]
FLAVORS = [
    {"name": "cpu-basic", "prettyName": "CPU Basic", "cpu": "2 vCPU", "ram": "16 GB", "accelerator": None,
     "unitCostMicroUSD": 167, "unitCostUSD": 0.000167, "unitLabel": "minute"},
    {"name": "a10g-small", "prettyName": "Nvidia A10G - small", "cpu": "4 vCPU", "ram": "15 GB",
     "accelerator": {"type": "gpu", "model": "A10G", "quantity": "1", "vram": "24 GB", "manufacturer": "Nvidia"},
     "unitCostMicroUSD": 17500, "unitCostUSD": 0.0175, "unitLabel": "minute"},
]  # fmt: skip
METRICS = {
    "cpu_usage_pct": 37, "cpu_millicores": 3500, "memory_used_bytes": 1_400_000_000, "memory_total_bytes": 15_032_385_536, "rx_bps": 0,
    "tx_bps": 0, "gpus": {"d901": {"utilization": 80, "memory_used_bytes": 9_000_000_000, "memory_total_bytes": 22_836_000_000}},
    "replica": "j6qz9",
}  # fmt: skip
_JOB = re.compile(r"/api/jobs/([^/]+)(?:/([^/]+))?(?:/(logs|metrics|cancel))?")


@dataclass
class Job:
    """One Job and the process that is its container."""

    namespace: str
    wanted: dict[str, Any]
    folder: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:24])
    stage: str = "SCHEDULING"
    message: str | None = None
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def over(self) -> bool:
        return self.stage not in ("SCHEDULING", "RUNNING")

    def told(self) -> dict[str, Any]:
        running = None if self.started is None else (self.ended or time.time()) - self.started
        return {
            "id": self.id, "createdAt": _time(time.time()), "startedAt": _time(self.started), "finishedAt": _time(self.ended),
            "dockerImage": self.wanted.get("dockerImage"), "command": self.wanted["command"], "arguments": [],
            "environment": self.wanted["environment"], "flavor": self.wanted["flavor"], "labels": self.wanted.get("labels"),
            "volumes": self.wanted.get("volumes"), "status": {"stage": self.stage, "message": self.message},
            "durations": {"schedulingSecs": 1, "runningSecs": running, "totalSecs": running},
            "owner": {"id": "1", "name": self.namespace, "type": "user"},
        }  # fmt: skip


class Jobs:
    """All Jobs of one loopback Hub."""

    def __init__(self, hub: CloudHub):
        self.hub = hub
        self.all: list[Job] = []
        self.lose_answer = 0
        self.refusals = 0
        self.refused: Callable[[], Any] | None = None  # called when an unknown token asked for the third time
        self.metrics: list[dict[str, Any]] = [METRICS]  # what its stream says in turn, the last one again and again
        self.lose_log_after: int | None = None  # the log ends after so many lines, once
        self._scratch = tempfile.TemporaryDirectory(prefix="aift-loopback-jobs-", ignore_cleanup_errors=True)

    def stop(self) -> None:
        for job in self.all:
            kill(job.process)
        self._scratch.cleanup()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes, token: str) -> tuple[int, Any] | None:
        """(status, value) of a request about Jobs; None when it is about something else. Logs are served by `log`."""
        if path == "/api/jobs/hardware":
            return 200, FLAVORS
        match = _JOB.fullmatch(path)
        if match is None or match[3] in ("logs", "metrics"):
            return None
        if token not in self.hub.tokens:
            self.refusals += 1
            if self.refused and self.refusals > 2:
                self.refused()
            return 401, {"error": "Invalid credentials in Authorization header"}
        if match[2] is None:
            return self._create(match[1], json.loads(body), token) if method == "POST" else self._list(match[1], query)
        job = next((job for job in self.all if job.id == match[2]), None)
        if job is None:
            return 404, {"error": "Job not found"}
        if match[3] == "cancel":
            self.end(job, "CANCELED", None)
        return 200, job.told()

    def find(self, path: str, what: str = "logs") -> Job | None:
        """The Job whose log or metrics this path names."""
        match = _JOB.fullmatch(path)
        return next((job for job in self.all if match and match[3] == what and job.id == match[2]), None)

    def end(self, job: Job, stage: str, message: str | None) -> None:
        """What the provider does to it."""
        if not job.over:
            job.stage, job.message, job.ended = stage, message, time.time()
            kill(job.process)

    def _list(self, namespace: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        wanted = dict(label.split("=", 1) for label in query.get("label", []))
        found = [
            job for job in self.all if job.namespace == namespace and wanted.items() <= (job.wanted.get("labels") or {}).items()
        ]
        return 200, [job.told() for job in reversed(found)]

    def _create(self, namespace: str, wanted: dict[str, Any], token: str) -> tuple[int, Any]:
        if self.hub.no_credit:
            return 402, {"error": "Payment required"}
        folder = Path(tempfile.mkdtemp(dir=self._scratch.name))
        job = Job(namespace, wanted, folder)
        self.all.append(job)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        if self.lose_answer:
            self.lose_answer -= 1
            return 504, {"error": "gateway time-out"}
        return 200, job.told()

    def _run(self, job: Job) -> None:
        mounts = {}
        for volume in job.wanted.get("volumes") or []:
            target = job.folder / volume["mountPath"].strip("/")
            if volume["type"] == "bucket":
                target = self.hub.buckets[volume["source"]]
            else:
                unpack(self.hub.repos[f"{volume['type']}s", volume["source"]].files, target)
            mounts[volume["mountPath"]] = str(target)
        command = job.wanted["command"]
        for path, target in mounts.items():
            command = [word.replace(path, target) if word.startswith(path) else word for word in command]
        told = {name: mounts.get(value, value) for name, value in job.wanted["environment"].items()}
        environment = {**told, **(job.wanted.get("secrets") or {})}
        job.process = start(command, environment, job.folder, self.hub.url)
        job.stage, job.started = "RUNNING", time.time()
        assert job.process.stdout
        for line in job.process.stdout:
            job.lines.append(line.rstrip("\n"))
        code = job.process.wait()
        if not job.over:
            job.ended = time.time()
            job.stage, job.message = ("COMPLETED", None) if code == 0 else ("ERROR", f"Job failed with exit code: {code}")


def start(command: list[str], environment: dict[str, str], folder: Path, hub_url: str) -> subprocess.Popen[str]:
    """The container: what the Hub gives it, and nothing of ours but the interpreter and its packages."""
    given = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "HF_ENDPOINT": hub_url, "HF_HUB_DISABLE_XET": "1", "LANG": "C.UTF-8",
        "HF_HOME": str(folder / "hf"), "TMPDIR": str(folder), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **{name: value for name, value in os.environ.items() if name.startswith(("OMP_", "MKL_"))},
    }  # fmt: skip
    command = [sys.executable if word == "python" else word for word in command]
    return subprocess.Popen(
        command, env={**given, **environment}, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen[str] | None) -> None:
    """The whole container at once."""
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def unpack(files: dict[str, bytes], target: Path) -> None:
    for name, body in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
