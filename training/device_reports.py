"""The devices of every training worker: each machine's workers report theirs, the web process reads the reports.

The web process may run on another machine than the workers, so what it could see itself is only the last resort.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import asdict
from typing import Any

import redis

from finetune.core import board
from training.devices import Device, list_devices
from training.lease import machine
from training.slots import slots

logger = logging.getLogger(__name__)
BOARD = "devices"
REPORT_SECONDS = 5.0
FRESH_SECONDS = 20.0


def worker_devices() -> list[Device]:
    """Every device of every machine that has a training worker, GPUs first; this machine's own while no worker reports."""
    found: dict[tuple[str, str], Device] = {}
    for report in board.read(BOARD, fresh_seconds=FRESH_SECONDS):
        for values in report["devices"]:
            device = Device(**values)
            found[(report["machine"], device.id)] = device  # two workers of one machine report the same devices
    devices = list(found.values()) or list_devices()
    return sorted(devices, key=lambda device: device.kind == "cpu")


def workers() -> list[dict[str, Any]]:
    """The training workers that report: {worker (Celery node), machine, pid, slots, seen_at}, by name."""
    found = {report["worker"]: report for report in board.read(BOARD, fresh_seconds=FRESH_SECONDS) if report.get("worker")}
    return [found[name] for name in sorted(found)]


def report_once(name: str, worker: str = "") -> None:
    """Tell the board about this machine's devices, and about the worker that looks after them."""
    notice = {"machine": machine(), "devices": [asdict(device) for device in list_devices()], "worker": worker, "pid": os.getpid()}
    board.pin(BOARD, name, notice | {"slots": slots()})


def report_until(done: threading.Event, worker: str = "") -> threading.Thread:
    """Report every few seconds in a thread of its own until `done` is set; then the report is taken down."""
    name = f"{machine()}:{os.getpid()}"

    def run() -> None:
        while not done.is_set():
            _try(report_once, name, worker)
            done.wait(REPORT_SECONDS)
        _try(board.unpin, BOARD, name)

    thread = threading.Thread(target=run, name="device-reports", daemon=True)
    thread.start()
    return thread


def _try(act: Any, *values: str) -> None:
    try:
        act(*values)
    except redis.RedisError as error:  # the next report tries again
        logger.info("The devices could not be reported: %s", error)
