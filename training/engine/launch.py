"""Starting a run on this machine. Imported by the platform, so it imports nothing heavy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .process import identity
from .rundir import RunDir

ANSWER_WITHIN = 10.0  # seconds a fork may take before we start cold instead; it takes milliseconds
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
# Processes that wait for a cold run, kept until they end so that they can be reaped.
_waiters: list[subprocess.Popen] = []


class LaunchError(RuntimeError):
    """The engine process could not be started."""


def start(run_dir: Path, server: Path | None = None, env: dict[str, str] | None = None, *, inherit: bool = True) -> dict[str, Any]:
    """Start the engine on a run directory and return its process identity (see process.py).

    `server` is the fork server's socket; without one, or when it doesn't answer, the engine starts cold. `env` is added
    to the engine's environment, or is all of it without `inherit` (a fork has its server's besides). A run that ends at once may be gone already: the identity then has no start_time.
    """
    path = Path(run_dir).resolve()
    pid = _fork(server, path, env or {}) if server and sys.platform == "linux" else None
    if pid is None:
        pid = _start_cold(path, _environment(env or {}) if inherit else env or {})
    return identity(pid) or {"pid": pid, "start_time": None, "boot_id": None}


def start_server(path: Path, env: dict[str, str] | None = None) -> subprocess.Popen:
    """Start a fork server of one's own. It ends when the returned process's stdin is closed, or with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.engine", "forkserver", str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=PACKAGE_ROOT, env=_environment(env or {}),
    )  # fmt: skip


def server_ready(path: Path) -> bool:
    """Whether a fork server listens there; it needs its imports' seconds before it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        return connection.connect_ex(str(path)) == 0


def _fork(server: Path, path: Path, env: dict[str, str]) -> int | None:
    """Ask the fork server; None when nobody answers, so that nothing was started."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_WITHIN)
            connection.connect(str(server))
            connection.sendall(json.dumps({"run_dir": str(path), "env": env}).encode() + b"\n")
            with connection.makefile("rb") as file:
                reply = json.loads(file.readline())
    except (OSError, ValueError):
        return _started_by_then(path)
    return reply.get("pid")


def _started_by_then(path: Path) -> int | None:
    """The answer got lost; the run may have started all the same, and must not be started twice."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        if who := RunDir(path).engine():
            return who["pid"]
        time.sleep(0.05)
    return None


def _start_cold(path: Path, env: dict[str, str]) -> int:
    waiter = subprocess.Popen(
        [sys.executable, "-m", "training.engine", "supervise", str(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=PACKAGE_ROOT, env=env,
    )  # fmt: skip
    assert waiter.stdout
    with waiter.stdout as answer:
        line = answer.readline()
    _waiters[:] = [other for other in (*_waiters, waiter) if other.poll() is None]
    if not line.strip():
        raise LaunchError(f"The engine could not be started (exit code {waiter.wait()}).")
    return int(line)


def _environment(env: dict[str, str]) -> dict[str, str]:
    path = os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **env}
