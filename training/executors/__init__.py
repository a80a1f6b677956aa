"""Where an engine runs. An executor moves a run directory to its machine, starts the engine there, says how it is, and brings
back what came of it (docs/adr/0007).

Adding one: a module here with a class that fits `Executor`, a line in EXECUTORS, its name in tests/training/executors/conftest.py.
Everything is keyed by the run directory, which holds our job id and attempt, so a run can be found again after a crash.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

EXECUTORS: dict[str, str] = {
    "local": "training.executors.local.Local",
    "modal": "training.executors.modal.Modal",
    "hf_jobs": "training.executors.hf_jobs.HfJobs",
    "hf_spaces": "training.executors.hf_spaces.HfSpaces",
}


@dataclass(frozen=True)
class Hardware:
    """One kind of machine or device that can be chosen. `price_per_hour` is USD, None where it costs nothing; `memory_bytes` is one
    device's, of which there are `count`. `price_source` and `price_as_of` (YYYY-MM-DD) say where the price is from."""

    id: str
    name: str
    kind: str
    memory_bytes: int | None
    price_per_hour: float | None = None
    count: int = 1
    price_as_of: str | None = None
    price_source: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What an executor offers now; `reason` says why it is not usable, `remedy` is the page where that can be changed."""

    name: str
    description: str
    usable: bool
    reason: str
    hardware: list[Hardware]
    remedy: str = ""


@dataclass(frozen=True)
class State:
    """How a run is. `phase` names what happens outside the engine (building, starting, uploading) or is empty; `url` is the provider's
    page of it; `billed_seconds` is what it will be charged for so far, None where nothing is."""

    alive: bool
    phase: str = ""
    url: str = ""
    billed_seconds: float | None = None


@dataclass(frozen=True)
class Orphan:
    """Something of ours that a provider still has. `running` costs money; `run_key` says which attempt it was made for; `seconds` is
    what it has run for, and `note` says how that was counted where it is more than is billed."""

    id: str
    run_key: str
    what: str
    running: bool
    hardware: str = ""
    url: str = ""
    seconds: float | None = None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class AccessRefused(Exception):
    """The provider no longer accepts the owner's credentials. The run may go on; a new token brings it back into sight."""


class Executor(Protocol):
    """One place where engines run. Every method may be called again after a crash of the caller.

    Methods that ask a provider raise Unavailable when it does not answer (ask again), AccessRefused when it does not accept the
    owner's credentials. `sync` brings what is new into the run directory, where the supervisor reads it as if it had been
    written here.
    """

    is_here: bool
    """Whether the engine uses the devices of the machine its worker is on."""
    poll_seconds: float
    """How often its runs are looked at."""
    patience: float
    """How many times longer than here a graceful stop may take."""
    first_phase: str
    """What goes on elsewhere while a run is submitted: a container is built, or a machine is waited for; nothing here."""

    def capabilities(self, user: Any = None) -> Capabilities:
        """Whether this person can use it, and its hardware."""

    def preflight(self, run_dir: Path) -> None:
        """Refuse (a DomainError in words) before anything is created what would fail or cost in vain."""

    def submit(self, run_dir: Path) -> None:
        """Start the engine on this run directory, once: what an earlier call started is found and kept. Raises OSError or a
        DomainError when it can't be started."""

    def is_submitted(self, run_dir: Path) -> bool:
        """Whether an engine was ever started for this run directory. Asks the provider by our key where the directory doesn't say."""

    def inspect(self, run_dir: Path) -> State:
        """How it is now."""

    def is_alive(self, run_dir: Path) -> bool:
        """Whether its engine runs now, or will."""

    def sync(self, run_dir: Path) -> None:
        """Bring new events and log lines into the run directory."""

    def devices(self, run_dir: Path) -> list[dict[str, Any]]:
        """What the devices of its run do now, as training.device_samples describes them; nothing where nobody tells."""

    def ask_to_stop(self, run_dir: Path) -> None:
        """Let the engine stop by itself after its current step and write a checkpoint."""

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        """Signal the engine to end; with `force` it can't refuse."""

    def exit_cause(self, run_dir: Path) -> dict[str, Any]:
        """How a dead engine ended: {"code": n}, {"signal": n}, {"timed_out": true}, {"provider": words}, or {} when nobody saw it."""

    def collect(self, run_dir: Path) -> bool:
        """Bring output, checkpoints and logs here, all or nothing of each; False while the other side is still writing them."""

    def clean_up(self, run_dir: Path, *, over: bool = True) -> None:
        """Remove what the attempt left with the provider, or only stop it where the owner wanted to keep it. What the job's attempts
        share goes when the job is `over`."""

    def forget(self, owner_id: int, job_ids: Collection[int]) -> None:
        """Remove from this person's account what the attempts of these jobs shared, where it is still there."""

    def list_orphans(self, user: Any) -> list[Orphan]:
        """What this person's account holds of ours, whether or not a job still knows it."""

    def remove_orphan(self, user: Any, orphan: Orphan) -> None:
        """Stop it and take it away."""


def load(name: str) -> Executor:
    """The executor of that name; its module is imported on first use."""
    module, _, cls = EXECUTORS[name].rpartition(".")
    return getattr(import_module(module), cls)()


def remote_names() -> list[str]:
    """The executors whose runs are somewhere else, and so are followed by workers of the `cloud` queue."""
    return [name for name in EXECUTORS if not load(name).is_here]
