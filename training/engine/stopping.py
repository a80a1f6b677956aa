"""Asking a run to stop: the cancel file or SIGTERM. The run ends its step, keeps a checkpoint and says cancelled.

Before the first step there is nothing to keep, and reading a large model may take minutes: until then a request ends the run
where it stands (`at_once`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from .rundir import RunDir

LOOK_SECONDS = 0.1  # between two looks for the cancel file while nobody else looks


class Cancelled(BaseException):
    """The run was asked to stop; `step` is the last one whose result is kept in a checkpoint (0: none).

    No Exception, like KeyboardInterrupt: nobody who catches errors on the way may take it for one.
    """

    def __init__(self, step: int = 0):
        super().__init__(f"cancelled at step {step}")
        self.step = step


class StopRequest:
    """Whether somebody wants this run to stop."""

    def __init__(self, run_dir: RunDir):
        self._run_dir = run_dir
        self._signalled = False
        self._at_once = False  # else requests wait for somebody to ask `requested`; no Event: a handler can't take locks

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
        if self._at_once:
            self._at_once = False
            raise Cancelled

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """A request raises Cancelled in the middle of the block, until `gently` is called. For a process that listens."""
        self.check()
        self._at_once = True
        threading.Thread(target=self._look, name="cancel file", daemon=True).start()
        try:
            yield
        finally:
            self._at_once = False

    def gently(self) -> None:
        """From here on there is something to keep: requests wait until they are asked for. Raises Cancelled if there was one."""
        self._at_once = False
        self.check()

    def _look(self) -> None:
        while self._at_once:
            if self._run_dir.cancel_requested():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(LOOK_SECONDS)

    @property
    def signalled(self) -> bool:
        return self._signalled

    def requested(self) -> bool:
        return self._signalled or self._run_dir.cancel_requested()

    def check(self, step: int = 0) -> None:
        """Raise Cancelled when asked to stop."""
        if self.requested():
            raise Cancelled(step)
