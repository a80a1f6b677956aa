"""The run directory: the only interface between the platform and the engine (docs/adr/0001).

The platform writes spec.json and touches cancel; the engine appends events.jsonl and writes checkpoints/ and output/.
The supervisor reads events by byte offset, so it may die and re-attach without losing any. Why files: a local process,
a Modal volume and a Space can all honour them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .spec import TrainingSpec, from_dict, to_dict


@dataclass(frozen=True)
class RunDir:
    """Names of what lies in one run directory."""

    path: Path

    @property
    def spec_file(self) -> Path:
        return self.path / "spec.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def cancel_file(self) -> Path:
        return self.path / "cancel"

    @property
    def process_file(self) -> Path:
        """Identity of the engine process: {pid, start_time, boot_id}."""
        return self.path / "process.json"

    def engine(self) -> dict[str, Any] | None:
        """Who the engine process is or was; None before it has said so, and where the file is torn or gone."""
        return read_json(self.process_file)

    @property
    def exit_file(self) -> Path:
        """How the process ended, written by whoever waited for it: {code} or {signal}."""
        return self.path / "exit.json"

    @property
    def log_file(self) -> Path:
        """Everything the engine and its libraries printed."""
        return self.path / "engine.log"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def output(self) -> Path:
        return self.path / "output"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def beginning(self) -> Path:
        """The adapter before its first step, where the result is told as a difference from it (adapter.py)."""
        return self.path / "data" / "beginning"

    def write_spec(self, spec: TrainingSpec) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.spec_file, json.dumps(to_dict(spec), indent=2))

    def read_spec(self) -> TrainingSpec:
        return from_dict(json.loads(self.spec_file.read_text()))

    def resolve(self, path: str) -> Path:
        """A path of the spec: absolute, or relative to the run directory."""
        return (self.path / path).resolve()

    def cancel_requested(self) -> bool:
        return self.cancel_file.exists()


def started_in(data_dir: Path) -> list[RunDir]:
    """Every run directory of an installation in which an engine was started, of whatever job and attempt."""
    return [RunDir(file.parent) for file in data_dir.glob("runs/[0-9]*/[0-9]*/process.json")]


def read_json(file: Path) -> dict[str, Any] | None:
    """What another process wrote for us; None when it has not yet, or its file is half written or gone."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def write_atomic(path: Path, text: str) -> None:
    """Write beside, fsync, rename: a reader sees the old content or the new, never half of it."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(staged, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def read_events(path: Path, offset: int = 0, limit: int = 1 << 20) -> Iterator[tuple[dict[str, Any], int]]:
    """Events after a byte offset, each with the offset that follows it. A last line still being written is left for later.

    `limit` bounds the bytes read in one call; call again until nothing comes.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            chunk = file.read(limit)
            if chunk and b"\n" not in chunk:  # one event longer than the limit
                chunk += file.readline()
    except FileNotFoundError:
        return
    for line in chunk.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        offset += len(line)
        with contextlib.suppress(ValueError):  # half a line of a killed engine, closed by the next one
            yield json.loads(line), offset
