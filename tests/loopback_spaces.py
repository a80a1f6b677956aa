"""Spaces of the loopback Hub. A commit with a Dockerfile "builds" it; its CMD is started as a process that must answer its port.

Trouble is arranged on `hub.spaces`: `fail_build` (words), and `hub.spaces.crash(space)`, `restart(space)`.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.loopback_jobs import FLAVORS, kill, start, unpack

if TYPE_CHECKING:
    from tests.loopback_cloud import CloudHub

_SPACE = re.compile(r"/api/spaces/([^/]+/[^/]+)/(runtime|pause|restart|hardware|sleeptime|logs/run|logs/build)")


@dataclass
class Space:
    """One Space and the process that is its container."""

    repo_id: str
    wanted: dict[str, Any]
    folder: Path
    stage: str = "NO_APP_FILE"
    message: str = ""
    port: int = 0
    lines: list[str] = field(default_factory=list)
    build_lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    starts: int = 0
    created: float = field(default_factory=time.time)

    def told(self) -> dict[str, Any]:
        hardware = self.wanted.get("hardware") or "cpu-basic"
        current = hardware if self.stage in ("RUNNING", "APP_STARTING") else None
        about: dict[str, Any] = {"stage": self.stage, "hardware": {"current": current, "requested": hardware}}
        about["gcTimeout"] = self.wanted.get("sleepTimeSeconds")
        return about | ({"errorMessage": self.message} if self.message else {})


class Spaces:
    """All Spaces of one loopback Hub."""

    def __init__(self, hub: CloudHub):
        self.hub = hub
        self.all: dict[str, Space] = {}
        self.fail_build = ""
        self._scratch = tempfile.TemporaryDirectory(prefix="aift-loopback-spaces-", ignore_cleanup_errors=True)

    def stop(self) -> None:
        for space in self.all.values():
            space.stage = "DELETING"
            kill(space.process)
        self._scratch.cleanup()

    def created(self, repo_id: str, wanted: dict[str, Any]) -> None:
        self.all[repo_id] = Space(repo_id, wanted, Path(tempfile.mkdtemp(dir=self._scratch.name)))

    def committed(self, repo_id: str) -> None:
        space = self.all[repo_id]
        if "Dockerfile" in self.hub.repos["spaces", repo_id].files and space.stage != "PAUSED":
            self._begin(space)

    def deleted(self, repo_id: str) -> None:
        if space := self.all.pop(repo_id, None):
            space.stage = "DELETING"
            kill(space.process)

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any] | None:
        """(status, value) of a request about a Space's life; None when it is about something else."""
        if path == "/api/spaces/hardware":
            return 200, FLAVORS
        match = _SPACE.fullmatch(path)
        if match is None or match[2].startswith("logs/"):
            return None
        if token not in self.hub.tokens:
            return 401, {"error": "Invalid credentials in Authorization header"}
        space = self.all.get(match[1])
        if space is None:
            return 404, {"error": "Repository not found"}
        if match[2] == "pause":
            space.stage = "PAUSED"
            # After the answer, which may go to the container itself.
            threading.Timer(0.2, kill, [space.process]).start()
        elif match[2] == "restart":
            self.restart(space)
        elif match[2] == "hardware" and method == "POST":
            space.wanted["hardware"] = json.loads(body)["flavor"]
            self.restart(space)
        return 200, space.told()

    def log(self, path: str) -> list[str] | None:
        match = _SPACE.fullmatch(path)
        space = self.all.get(match[1]) if match and match[2].startswith("logs/") else None
        return None if space is None or match is None else space.build_lines if match[2] == "logs/build" else space.lines

    def crash(self, space: Space) -> None:
        """Its container ends."""
        space.stage, space.message = "RUNTIME_ERROR", "Exit code: 137. Reason: OOMKilled"
        kill(space.process)

    def restart(self, space: Space) -> None:
        """The Hub moves it to another machine: a fresh container."""
        space.stage = "APP_STARTING"
        kill(space.process)
        self._begin(space)

    def _begin(self, space: Space) -> None:
        threading.Thread(target=self._run, args=(space,), daemon=True).start()

    def _run(self, space: Space) -> None:
        space.stage = "BUILDING"
        space.build_lines.append("--> FROM docker.io/library/python")
        if self.fail_build:
            space.stage, space.message = "BUILD_ERROR", self.fail_build
            space.build_lines.append(self.fail_build)
            return
        folder = Path(tempfile.mkdtemp(dir=space.folder))
        files = self.hub.repos["spaces", space.repo_id].files
        unpack(files, folder)
        command = json.loads(re.findall(r"^CMD (\[.*\])$", files["Dockerfile"].decode(), re.MULTILINE)[-1])
        space.port = _free_port()
        given = {item["key"]: item["value"] for item in (space.wanted.get("variables") or []) + (space.wanted.get("secrets") or [])}
        mounts = {volume["mountPath"]: str(self.hub.buckets[volume["source"]]) for volume in space.wanted.get("volumes") or []}
        given = {name: mounts.get(value, value) for name, value in given.items()}
        own = {"PORT": str(space.port), "SPACE_ID": space.repo_id, "AIFT_WORK": str(folder), "PYTHONUNBUFFERED": "1"}
        space.stage = "APP_STARTING"
        space.starts += 1
        space.process = process = start(command, {**own, **given}, folder, self.hub.url)
        threading.Thread(target=self._wait_for_port, args=(space, process), daemon=True).start()
        assert process.stdout
        for line in process.stdout:
            space.lines.append(line.rstrip("\n"))
        code = process.wait()
        if space.process is process and space.stage in ("RUNNING", "APP_STARTING"):
            space.stage, space.message = "RUNTIME_ERROR", f"Exit code: {code}"

    def _wait_for_port(self, space: Space, process: subprocess.Popen[str]) -> None:
        while process.poll() is None and space.process is process and space.stage == "APP_STARTING":
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{space.port}/", timeout=2).read()
            except OSError:
                time.sleep(0.05)
            else:
                space.stage = "RUNNING"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
