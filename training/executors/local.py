"""Engines on this machine: own sessions, found again by pid, start time and boot id in the run directory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from training import device_samples
from training.device_reports import worker_devices
from training.engine import launch, process
from training.engine.rundir import RunDir, read_json, write_atomic
from training.executors import Capabilities, Hardware, Orphan, State, fork_server
from training.executors.confinement import confined_environment
from training.executors.environment import engine_environment
from training.slots import pinned_environment

# Written just before the engine is started, so that a worker which comes later knows that one may be starting.
SUBMITTED = "submitted"


class Local:
    """The executor for this machine's own devices."""

    is_here = True
    poll_seconds = 0.2  # how late an event may be
    patience = 1.0
    first_phase = ""

    def capabilities(self, user: Any = None) -> Capabilities:
        devices = worker_devices()
        hardware = [Hardware(device.id, device.name, device.kind, device.memory_bytes) for device in devices]
        return Capabilities("This machine", "Runs on the devices of the machine its training worker is on.", True, "", hardware)

    def preflight(self, run_dir: Path) -> None:
        """What can be refused here is refused before the job is queued: training.refusals."""

    def submit(self, run_dir: Path) -> None:
        write_atomic(run_dir / SUBMITTED, "")
        environment = engine_environment() | pinned_environment(run_dir) | confined_environment(run_dir)
        launch.start(run_dir, fork_server.ready_socket(), environment, inherit=False)

    def is_submitted(self, run_dir: Path) -> bool:
        return (run_dir / SUBMITTED).exists()

    def inspect(self, run_dir: Path) -> State:
        return State(self.is_alive(run_dir))

    def is_alive(self, run_dir: Path) -> bool:
        return process.is_alive(RunDir(run_dir).engine())

    def ask_to_stop(self, run_dir: Path) -> None:
        RunDir(run_dir).cancel_file.touch()

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        process.terminate(RunDir(run_dir).engine(), force=force)

    def sync(self, run_dir: Path) -> None:
        """The engine writes into the run directory itself."""

    def devices(self, run_dir: Path) -> list[dict[str, Any]]:
        return device_samples.here()

    def exit_cause(self, run_dir: Path) -> dict[str, Any]:
        return read_json(RunDir(run_dir).exit_file) or {}

    def collect(self, run_dir: Path) -> bool:
        return True

    def clean_up(self, run_dir: Path, *, over: bool = True) -> None:
        """Run directories stay: see finetune.operations.retention."""

    def forget(self, owner_id: int, job_ids: Collection[int]) -> None:
        """Here attempts share nothing but what lies in the job's directory."""

    def list_orphans(self, user: Any) -> list[Orphan]:
        return []

    def remove_orphan(self, user: Any, orphan: Orphan) -> None:
        raise LookupError("nothing of ours is anywhere else")
