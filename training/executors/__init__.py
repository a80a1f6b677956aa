"""Where an engine runs. An executor moves a run directory to its machine, starts the engine there and says how it is.

Adding one: a module here with a class that fits `Executor`, a line in EXECUTORS, tests in tests/training/executors/.
Everything is keyed by the run directory, which holds our job id and attempt, so a run can be found again after a crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

EXECUTORS: dict[str, str] = {"local": "training.executors.local.Local"}


@dataclass(frozen=True)
class Hardware:
    """One kind of machine or device that can be chosen. `price_per_hour` is USD, None where it costs nothing."""

    id: str
    name: str
    kind: str
    memory_bytes: int | None
    price_per_hour: float | None = None


@dataclass(frozen=True)
class Capabilities:
    """What an executor offers now; `reason` says why it is not usable."""

    name: str
    description: str
    usable: bool
    reason: str
    hardware: list[Hardware]


class Executor(Protocol):
    """One place where engines run. Every method may be called again after a crash of the caller."""

    is_here: bool
    """Whether the engine uses the devices of the machine its worker is on."""

    def capabilities(self) -> Capabilities:
        """Whether it can be used, and its hardware."""

    def submit(self, run_dir: Path) -> None:
        """Start the engine on this run directory. Raises OSError when it can't be started."""

    def is_submitted(self, run_dir: Path) -> bool:
        """Whether an engine was ever started for this run directory."""

    def is_alive(self, run_dir: Path) -> bool:
        """Whether its engine runs now."""

    def ask_to_stop(self, run_dir: Path) -> None:
        """Let the engine stop by itself after its current step and write a checkpoint."""

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        """Signal the engine to end; with `force` it can't refuse."""

    def exit_cause(self, run_dir: Path) -> dict[str, int]:
        """How a dead engine ended: {"code": n}, {"signal": n}, or {} when nobody saw it."""


def load(name: str) -> Executor:
    """The executor of that name; its module is imported on first use."""
    module, _, cls = EXECUTORS[name].rpartition(".")
    return getattr(import_module(module), cls)()
