"""A machine's devices as slots: a job has its devices to itself, and its engine sees no others."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from django.conf import settings

from training.devices import list_devices
from training.engine.rundir import write_atomic

FILE = "devices.json"


def slots() -> list[str]:
    """Names of this machine's slots, as CUDA_VISIBLE_DEVICES names devices: every GPU that this process may see.

    A machine without one has TRAINING_SLOTS of them (1 unless the operator says otherwise).
    """
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()) and has_gpus():
        return [name.strip() for name in visible.split(",") if name.strip()]
    return list(_gpus()) or [str(number) for number in range(settings.TRAINING_SLOTS)]


def has_gpus() -> bool:
    """Whether devices are real here, so that a job can't do with fewer than it asks for."""
    return bool(_gpus())


@functools.cache
def _gpus() -> tuple[str, ...]:
    return tuple(device.id.rpartition(":")[2] for device in list_devices() if device.kind == "cuda")


def pin(run_dir: Path, devices: list[str]) -> None:
    """Say in the run directory which of the machine's devices this attempt has."""
    write_atomic(run_dir / FILE, json.dumps(devices))


def pinned_environment(run_dir: Path) -> dict[str, str]:
    """What makes an engine see its own devices only; nothing when it was given none."""
    try:
        devices = json.loads((run_dir / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
