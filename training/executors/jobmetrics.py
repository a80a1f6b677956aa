"""What a Job's devices do, as its provider tells it second by second: read in a thread of its own, only the newest is kept.

The engine says nothing of its devices while it is pulled and installed, nor of their load later. Whatever goes wrong here, a run
never fails of it: it then has no samples.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from finetune.core.errors import DomainError

logger = logging.getLogger(__name__)
AGAIN_SECONDS = 30.0  # between two tries to open the stream
FRESH_SECONDS = 20.0


class MetricsReader:
    """`open_stream` is called in `sync`, what it yields is read in the thread; `name` is what the hardware is called."""

    def __init__(self, name: str, open_stream: Callable[[], Iterable[dict[str, Any]]]):
        self.name, self.open_stream = name, open_stream
        self._newest: tuple[float, list[dict[str, Any]]] = (0.0, [])
        self._thread: threading.Thread | None = None
        self._started = -math.inf

    def sync(self) -> None:
        """Begin to read again when nobody reads any more."""
        if (self._thread is None or not self._thread.is_alive()) and time.monotonic() - self._started > AGAIN_SECONDS:
            self._started = time.monotonic()
            self._thread = threading.Thread(target=self._pump, args=(self.open_stream(),), name="provider-metrics", daemon=True)
            self._thread.start()

    def take(self) -> list[dict[str, Any]]:
        """The devices as training.device_samples describes them, each sample once; nothing when there is none of late."""
        (when, devices), self._newest = self._newest, (0.0, [])
        return devices if time.monotonic() - when < FRESH_SECONDS else []

    def _pump(self, stream: Iterable[dict[str, Any]]) -> None:
        try:
            for told in stream:
                with suppress(AttributeError, TypeError, ValueError):  # one that is not as documented is left out
                    self._newest = (time.monotonic(), devices_of(told, self.name))
        except DomainError as error:
            logger.info("A provider's metrics broke off: %s", error)
        except Exception:  # the client's stream has more kinds than are documented
            logger.exception("A provider's metrics broke off.")


def devices_of(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """[{id, name, memory_used_bytes, memory_bytes, utilisation (0 to 1), temperature_celsius}] of one `metric` event: its GPUs, in the
    order of their names there, or the processor where it has none."""
    if gpus := told.get("gpus"):
        return [_device(f"cuda:{number}", name, gpus[key], gpus[key].get("utilization")) for number, key in enumerate(sorted(gpus))]
    return [_device("cpu", name, told, told.get("cpu_usage_pct"))]


def _device(place: str, name: str, told: dict[str, Any], percent: float | None) -> dict[str, Any]:
    used, total = _whole(told.get("memory_used_bytes")), _whole(told.get("memory_total_bytes"))
    load = None if percent is None else min(1.0, max(0.0, float(percent) / 100))
    return {
        "id": place, "name": name, "memory_used_bytes": used, "memory_bytes": total, "utilisation": load, "temperature_celsius": None,
    }  # fmt: skip


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
