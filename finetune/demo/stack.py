"""A running installation of its own: scratch DATA_DIR and free port unless the environment names them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from finetune.demo.errors import DemoFailed

START_SECONDS = 240  # the first start compiles everything; one that broke is seen at once
STOP_SECONDS = 200  # the launcher itself waits for engines


@dataclass(frozen=True)
class Stack:
    url: str
    data_dir: Path

    def log_tails(self, lines: int = 15) -> str:
        """The ends of the logs that are not empty, newest last."""
        files = sorted((self.data_dir / "logs").glob("*.log"), key=lambda file: file.stat().st_mtime)
        files += sorted(self.data_dir.glob("runs/*/*/engine.log"))
        parts = []
        for file in files:
            tail = file.read_text(errors="replace").splitlines()[-lines:]
            if tail:
                parts.append("\n".join([f"--- {file.relative_to(self.data_dir)}", *tail]))
        return "\n".join(parts)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start through the launcher, wait until web, broker and a worker answer; always stop it and remove a scratch DATA_DIR."""
    with _data_dir() as data_dir:
        port = os.environ.get("PORT") or str(_free_port())
        environment = {**os.environ, "DATA_DIR": str(data_dir), "PORT": port, "HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "finetune.launcher"]
        # A session of its own, so that Ctrl-C reaches the demo first, which then stops the stack.
        launcher = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        stack = Stack(f"http://127.0.0.1:{port}", data_dir)
        try:
            _wait_until_ready(stack, launcher)
            yield stack
        finally:
            launcher.send_signal(signal.SIGINT)
            launcher.wait(STOP_SECONDS)


@contextmanager
def _data_dir() -> Iterator[Path]:
    if given := os.environ.get("DATA_DIR"):
        yield Path(given).expanduser().resolve()
        return
    with tempfile.TemporaryDirectory(prefix="aifinetune-demo-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(stack: Stack, launcher: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if launcher.poll() is not None:
            raise DemoFailed("The platform did not start.")
        try:
            if httpx.get(f"{stack.url}/readyz", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise DemoFailed(f"The platform was not ready after {START_SECONDS} s.\n{stack.log_tails()}")
