"""One launcher for one DATA_DIR, also after a launcher or a supervisord was killed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from finetune.launcher.facts import Facts
from finetune.launcher.programs import patience
from training.engine import process

# supervisord stops its programs one group after another, each with its own patience (programs.py).
SUPERVISOR_SECONDS = 90
VALKEY = "valkey-server"


class AlreadyRunning(Exception):
    """Another launcher holds this DATA_DIR."""


@contextmanager
def lock(facts: Facts) -> Iterator[None]:
    """Hold DATA_DIR until the block ends. The kernel drops the lock when this process dies, so it is never stale."""
    with open(facts.run_dir / "launcher.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(f"AiFineTune already runs on {facts.data_dir} ({file.read().strip()}).") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {facts.local_url}\n")
        file.flush()
        yield


def port_is_free(host: str, port: int) -> bool:
    """Whether the web process could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE  # anything else the web process says better itself
    return True


def remember(facts: Facts, supervisor: int) -> None:
    """Write down supervisord, its programs and Valkey, in the order in which to stop them. Writes only when they changed."""
    children = psutil.Process(supervisor).children()
    valkey = sorted(child.pid for child in children if _name(child) == VALKEY)
    others = sorted(child.pid for child in children if child.pid not in valkey)
    text = json.dumps([[process.identity(pid) for pid in pids] for pids in ([supervisor], others, valkey)])
    if not facts.processes_file.exists() or facts.processes_file.read_text() != text:
        staged = facts.processes_file.with_suffix(".new")
        staged.write_text(text)
        os.replace(staged, facts.processes_file)


def stop_leftovers(facts: Facts) -> None:
    """End what a launcher started and could not stop. supervisord first: it stops its programs itself, in order. Valkey last:
    a worker without its broker would wait for it instead of ending."""
    supervisor, others, valkey = _noted(facts)
    _stop(supervisor, SUPERVISOR_SECONDS)
    for stage in (others, valkey):
        _stop(stage, patience(facts))
    for note in (facts.processes_file, *facts.notes_dir.glob("*")):
        note.unlink(missing_ok=True)


def _noted(facts: Facts) -> list[list[dict[str, Any] | None]]:
    """Who was written down by the launcher, and by the programs themselves, which is sooner; nobody twice."""
    try:
        stages = json.loads(facts.processes_file.read_text())
    except FileNotFoundError:
        stages = [[], [], []]
    for note in facts.notes_dir.glob("[a-z]*"):
        stage = stages[2 if note.name == "valkey" else 1]
        with suppress(OSError, ValueError):
            if (identity := json.loads(note.read_text())) not in stage:
                stage.append(identity)
    return stages


def _name(child: psutil.Process) -> str:
    try:
        return child.name()
    except psutil.NoSuchProcess:
        return ""


def _stop(processes: list[dict[str, Any] | None], seconds: float) -> None:
    """SIGTERM to those that still live; SIGKILL to those that stay longer than this."""
    for identity in processes:
        process.terminate(identity)
    deadline = time.monotonic() + seconds
    while any(process.is_alive(identity) for identity in processes):
        if time.monotonic() > deadline:
            for identity in processes:
                process.terminate(identity, force=True)
        time.sleep(0.1)
