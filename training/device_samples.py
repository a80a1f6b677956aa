"""What a run does to its device over time: a `memory` event now and then with load and memory of the machine's devices."""

from __future__ import annotations

import time
from typing import Any

from training.devices import Device, list_devices

FIRST_SECONDS = 5.0  # between two samples at the beginning …
SHARE = 200  # … later so rarely that a doubled time adds about 140 more: a week has some 1,800


class Sampler:
    """Says when a sample is due and makes its event. Its clock begins with whoever follows the run."""

    def __init__(self) -> None:
        self.begun = self.last = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        return now - self.last >= max(FIRST_SECONDS, (now - self.begun) / SHARE)

    def take(self, step: int | None, devices: list[dict[str, Any]]) -> dict[str, Any]:
        """The event: {kind, time, step, devices: [{id, name, memory_used_bytes, memory_bytes, utilisation, temperature_celsius}]}."""
        self.last = time.monotonic()
        return {"kind": "memory", "time": time.time(), "step": step, "devices": devices}


def here() -> list[dict[str, Any]]:
    """This machine's devices now."""
    return [_values(device) for device in computing()]


def computing() -> list[Device]:
    """The devices a run computes on: the GPUs where there are any, else the processor."""
    devices = list_devices()
    return [device for device in devices if device.kind != "cpu"] or devices


def _values(device: Device) -> dict[str, Any]:
    names = ("id", "name", "memory_used_bytes", "memory_bytes", "utilisation", "temperature_celsius")
    return {name: getattr(device, name) for name in names}
