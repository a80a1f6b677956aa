"""A provider's log, read in a thread of its own: marked lines go into the mirror, the others into provider.log.

The log can be read again from its beginning, so a reader that dies, or a worker that takes over, loses and doubles nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from finetune.core.errors import DomainError
from training.engine.remote.voices import unmark
from training.executors.mirror import Mirror

logger = logging.getLogger(__name__)
FILE = "provider.log"
AGAIN_SECONDS = 3.0


class LogReader:
    """Reads whenever it is asked to sync and no reader is at work; `open_log` is called here, its lines are read in the thread."""

    def __init__(self, run_dir: Path, open_log: Callable[[], Iterable[str]]):
        self.run_dir, self.open_log = run_dir, open_log
        self.mirror = Mirror(run_dir)
        self._queue: queue.Queue[str] = queue.Queue(maxsize=10_000)
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self._kept = self._read = 0  # lines of the provider's log written, and read in this pass
        (run_dir / FILE).write_text("")

    def sync(self) -> None:
        """Take over what has arrived; start reading again when the reader has ended."""
        while not self._queue.empty():
            self._take(self._queue.get())
        if (self._thread is None or not self._thread.is_alive()) and time.monotonic() - self._started > AGAIN_SECONDS:
            self._started, self._read = time.monotonic(), 0
            self._thread = threading.Thread(target=self._pump, args=(self.open_log(),), name="provider-log", daemon=True)
            self._thread.start()

    def drain(self, seconds: float = 5.0) -> None:
        """The run is over: what is still on its way, for at most so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.sync()
            if self._thread is not None and not self._thread.is_alive() and self._queue.empty():
                return
            time.sleep(0.05)

    def _take(self, line: str) -> None:
        told = unmark(line)
        if told:
            self.mirror.take(told["i"], told["o"], told["l"].encode() + b"\n")
            return
        self._read += 1
        if self._read > self._kept:
            self._kept = self._read
            with open(self.run_dir / FILE, "a") as file:
                file.write(line.rstrip("\n") + "\n")

    def _pump(self, lines: Iterable[str]) -> None:
        try:
            for line in lines:
                self._queue.put(line)
        except DomainError as error:
            logger.info("A provider's log broke off: %s", error)
        except Exception:  # the client's stream has more kinds than are documented; the next pass reads again
            logger.exception("A provider's log broke off.")
