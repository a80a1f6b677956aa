"""The train worker's warm engine: a child process that has imported the training stack and forks a run in milliseconds.

It holds no job. It ends when its stdin closes, that is with its worker however that ends; the runs it forked go on.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

from finetune.core import storage
from training.executors.environment import engine_environment

logger = logging.getLogger(__name__)
SOCKET_PATH_LIMIT = 100
WARM_UP_SECONDS = 60


class ForkServer:
    """Starts `python -m training.engine forkserver`, and starts it again when it has died."""

    def __init__(self, socket: Path):
        self.socket = socket
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin warming up; returns at once."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._spawn()

    def ready_socket(self) -> Path | None:
        """The socket once it answers, waiting while the server is still importing; None when it can't be had."""
        self.start()
        deadline = time.monotonic() + WARM_UP_SECONDS
        while time.monotonic() < deadline:
            if self.socket.exists():
                return self.socket
            if self._process is None or self._process.poll() is not None:
                logger.warning("The fork server ended while it warmed up; the engine is started cold.")
                return None
            time.sleep(0.05)
        return None

    def stop(self) -> None:
        """End it (its runs go on)."""
        with self._lock:
            if self._process is None:
                return
            if self._process.stdin:
                self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "training.engine", "forkserver", str(self.socket)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env=engine_environment(),
            start_new_session=True,
        )


current: ForkServer | None = None


def start() -> None:
    """Give this worker process its fork server (celery_worker/lifecycle.py). macOS can't fork safely: it starts cold."""
    global current
    if current is None and sys.platform == "linux":
        current = ForkServer(_socket_path())
        current.start()


def stop() -> None:
    """End this worker process's fork server."""
    global current
    if current is not None:
        current.stop()
        current = None


def ready_socket() -> Path | None:
    """The socket of this process's fork server; None where there is none."""
    return current.ready_socket() if current else None


def _socket_path() -> Path:
    name = f"forkserver-{os.getpid()}.sock"
    path = storage.run_state_dir() / name
    if len(str(path)) < SOCKET_PATH_LIMIT:
        return path
    settings.VALKEY_SOCKET.parent.mkdir(parents=True, exist_ok=True)
    return settings.VALKEY_SOCKET.parent / name
