"""Asking a run to stop: the cancel file or SIGTERM. The run ends its step, keeps a checkpoint and says cancelled."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from .rundir import RunDir


class Cancelled(Exception):
    """The run was asked to stop; `step` is the last one whose result is kept in a checkpoint (0: none)."""

    def __init__(self, step: int = 0):
        super().__init__(f"cancelled at step {step}")
        self.step = step


class StopRequest:
    """Whether somebody wants this run to stop."""

    def __init__(self, run_dir: RunDir):
        self._run_dir = run_dir
        self._signalled = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as a request meanwhile, instead of dying by them."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: Any) -> None:
        self._signalled = True

    @property
    def signalled(self) -> bool:
        return self._signalled

    def requested(self) -> bool:
        return self._signalled or self._run_dir.cancel_requested()

    def check(self) -> None:
        """Raise Cancelled when asked to stop; for the stages before there is anything to keep."""
        if self.requested():
            raise Cancelled
