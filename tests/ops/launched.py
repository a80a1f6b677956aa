"""A launcher on a scratch DATA_DIR, as `make run` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from django.conf import settings

OURS = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "THROTTLE_LOGIN", "THROTTLE_REGISTER", "THROTTLE_DEFAULT"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Seconds until `condition` became true."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.1)
    raise AssertionError(f"{what}: not after {seconds} s")


class Launched:
    """One installation; `start` it, look at it, `interrupt` it."""

    def __init__(self, data_dir: Path, port: int):
        self.data_dir = data_dir
        self.port = port
        self.environment = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environment |= {"DATA_DIR": str(data_dir), "PORT": str(port), "HOST": "127.0.0.1"}
        self.output = data_dir.parent / f"{data_dir.name}.out"
        self.process: subprocess.Popen | None = None
        self.answered_at = 0.0  # seconds since 1970

    def run(self, *module: str, **options: object) -> subprocess.CompletedProcess:
        """A Python program with this installation's environment, to its end."""
        command = [sys.executable, "-m", *module]
        options = {"capture_output": True, "text": True, "timeout": 60, "env": self.environment, **options}
        return subprocess.run(command, cwd=settings.BASE_DIR, **options)  # type: ignore[call-overload]

    def start(self) -> None:
        command = [sys.executable, "-m", "finetune.launcher"]
        options = {"cwd": settings.BASE_DIR, "env": self.environment, "start_new_session": True}
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)

    def printed(self) -> list[str]:
        return [line for line in self.output.read_text().splitlines() if line]

    def get(self, path: str) -> int:
        """The status of an answer; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def find(self, part: str) -> psutil.Process | None:
        """The supervised process whose command holds `part`."""
        for process in self.everything():
            try:
                if part in " ".join(process.cmdline()) and "supervisord" in " ".join(process.parent().cmdline()):
                    return process
            except (psutil.NoSuchProcess, AttributeError):
                continue
        return None

    def everything(self) -> list[psutil.Process]:
        """Every process that was started with this DATA_DIR, wherever it hangs in the process tree now."""
        found = []
        for process in psutil.process_iter():
            try:
                named = any(str(self.data_dir) in word for word in process.cmdline())
                ours = named or process.environ().get("DATA_DIR") == str(self.data_dir)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)
