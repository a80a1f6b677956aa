"""The copy of a distant run's events here, byte for byte, so that the supervisor reads them as if they had been written here.

A container may be started again in mid-run and then writes a new events file from its last checkpoint on: what it repeats is
left out. `mirror.json` says which container's file has been copied how far; it is written after the copy, and what was
copied beyond it (a crash in between) is cut off, so no event is missing and none is doubled.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.engine.rundir import RunDir, write_atomic

FILE = "mirror.json"
REPEATED = ("metric", "sample", "checkpoint")


@dataclass
class _Copied:
    incarnation: str = ""
    offset: int = 0  # of that container's file
    size: int = 0  # of ours
    known: dict[str, int] = field(default_factory=dict)  # kind and split → last step copied from earlier containers


class Mirror:
    """One run's copy; one thread uses it."""

    def __init__(self, run_dir: Path):
        self.run, self.file = RunDir(run_dir), run_dir / FILE
        self.state = self._load()

    @property
    def offset(self) -> int:
        """Bytes of the present container's file that are here."""
        return self.state.offset

    @property
    def incarnation(self) -> str:
        return self.state.incarnation

    def take(self, incarnation: str, offset: int, data: bytes) -> bool:
        """Copy `data`, which begins at byte `offset` of that container's file. Only whole lines are kept. False, and nothing
        copied, when bytes before it are missing here."""
        if incarnation != self.state.incarnation:
            if offset:
                return False
            self._begin(incarnation)
        if offset > self.state.offset:
            return False
        data = data[self.state.offset - offset :]
        data = data[: data.rfind(b"\n") + 1]
        if data:
            self._append(data)
        return True

    def _begin(self, incarnation: str) -> None:
        known = dict(self.state.known)
        for line in self._lines():
            if place := _place(line):
                known[place[0]] = max(place[1], known.get(place[0], -1))
        self.state = _Copied(incarnation, 0, self.state.size, known)

    def _append(self, data: bytes) -> None:
        lines = [line for line in data.splitlines(keepends=True) if not self._is_repeated(line)]
        with open(self.run.events_file, "ab") as file:
            file.write(b"".join(lines))
        self.state.offset += len(data)
        self.state.size = self.run.events_file.stat().st_size
        write_atomic(self.file, json.dumps(asdict(self.state)))

    def _is_repeated(self, line: bytes) -> bool:
        place = _place(line) if self.state.known else None
        return place is not None and place[1] <= self.state.known.get(place[0], -1)

    def _lines(self) -> list[bytes]:
        return self.run.events_file.read_bytes().splitlines() if self.run.events_file.exists() else []

    def _load(self) -> _Copied:
        try:
            state = _Copied(**json.loads(self.file.read_text()))
        except (OSError, ValueError, TypeError):
            state = _Copied()
        if self.run.events_file.exists() and self.run.events_file.stat().st_size > state.size:
            with open(self.run.events_file, "r+b") as file:
                file.truncate(state.size)
        return state


def _place(line: bytes) -> tuple[str, int] | None:
    """(kind and split, step) of an event that a resumed engine says again."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("kind") not in REPEATED or not isinstance(event.get("step"), int):
        return None
    return f"{event['kind']} {event.get('split') or ''}", event["step"]
