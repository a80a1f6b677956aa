"""A run in a process of its own, for where there is no warm one: starts it, waits, writes exit.json."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import memorykills
from .forkserver import record_exit
from .rundir import RunDir


def supervise(path: Path) -> int:
    """Start `run` in its own session, print its process number, and return its exit code when it ends."""
    kills = memorykills.count()
    with open(RunDir(path).log_file, "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "training.engine", "run", str(path)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    print(child.pid, flush=True)
    # The caller has its answer; a closed pipe must not end the wait.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    code = child.wait()
    record_exit(path, code, kills)
    return code if code >= 0 else 128 - code
