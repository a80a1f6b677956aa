"""What every part of a running attempt shares: its directory, spec, events, stop request, phase and clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .events import EventLog, NoEvents
from .rundir import RunDir
from .spec import Config, TrainingSpec
from .stopping import StopRequest
from .world import World


class Clock:
    """Seconds spent in training steps: it runs while training and stands still while evaluating and saving."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)

    def start(self, seconds: float = 0.0) -> None:
        """Run from now on, continuing at `seconds` (a resumed run counts on)."""
        self._before, self._since = seconds, time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        running, self._before, self._since = self._since is not None, self.seconds, None
        try:
            yield
        finally:
            self._since = time.monotonic() if running else None


@dataclass
class Attempt:
    """One attempt at one run."""

    dir: RunDir
    spec: TrainingSpec
    events: EventLog | NoEvents
    stop: StopRequest
    clock: Clock = field(default_factory=Clock)
    world: World = field(default_factory=World)
    _phase: str = ""

    @property
    def config(self) -> Config:
        return self.spec.config

    @property
    def model_path(self) -> Path:
        return self.dir.resolve(self.spec.model.path)

    def log(self, text: str, level: str = "info") -> None:
        """Say something to the user in the job's log."""
        self.events.emit("log", level=level, text=text)

    def phase(self, name: str) -> None:
        """Enter a phase (preparing, training, evaluating, saving) and say so once."""
        if name != self._phase:
            self._phase = name
            self.events.emit("phase", phase=name)

    @contextlib.contextmanager
    def during(self, name: str) -> Iterator[None]:
        """A phase inside another one, with the training clock standing still."""
        outer = self._phase
        self.phase(name)
        with self.clock.paused():
            yield
        if outer:
            self.phase(outer)
