"""One attempt in a container, from the files' arrival to their way back. The same for every provider."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from training.engine.events import EventLog
from training.engine.rundir import RunDir, read_events, write_atomic

from .stores import Store, fetch_base

LOOK_SECONDS = 0.1
STOP_SECONDS = 5.0  # between questions whether to stop


class Voice(Protocol):
    """How events leave."""

    def tell(self) -> None:
        """Tell what is new."""


@dataclass
class Runner:
    """Fetch, train, keep. `wants_stop` is asked beside the store; the voice is made once the run directory is there. `incarnation` tells
    this container's events from those of another one of the same attempt."""

    path: Path
    store: Store
    make_voice: Callable[[Path, str], Voice]
    wants_stop: Callable[[], bool] = lambda: False
    token: str = ""
    phase: str = "pulling"
    exit_code: int | None = None
    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _checkpoints: queue.Queue[str | None] = field(default_factory=queue.Queue)
    _asked: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """The engine's exit code. A run that ended before in another container is not started again."""
        self.store.fetch(self.path)
        run = RunDir(self.path)
        if run.exit_file.exists():
            return self._ended(_code(json.loads(run.exit_file.read_text())))
        (self.path / "incarnation").write_text(self.incarnation)
        voice = self.make_voice(self.path, self.incarnation)
        EventLog(run.events_file).emit("phase", phase="pulling")
        voice.tell()
        fetch_base(self.path, self.token)
        keeper = threading.Thread(target=self._keep_checkpoints, daemon=True)
        keeper.start()
        self.phase = "training"
        result = self._train(run, voice)
        self.phase = "uploading"
        self._checkpoints.put(None)
        keeper.join()
        write_atomic(run.exit_file, json.dumps({"code": result} if result >= 0 else {"signal": -result}))
        self.store.keep_end(self.path)
        voice.tell()
        return self._ended(result)

    def _ended(self, code: int) -> int:
        self.phase, self.exit_code = "done", code
        return code if code >= 0 else 128 - code

    def _train(self, run: RunDir, voice: Voice) -> int:
        command = [sys.executable, "-m", "training.engine", "run", str(run.path)]
        with open(run.log_file, "ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_engines()
            )
            copier = threading.Thread(target=_copy, args=(child.stdout, log), daemon=True)
            copier.start()
            seen = 0
            while True:
                ended = child.poll() is not None  # asked first, so that what it wrote last is read
                seen = self._look(run, seen)
                voice.tell()
                if ended:
                    copier.join()
                    return child.returncode
                self._stop_if_wanted(run)
                time.sleep(LOOK_SECONDS)

    def _look(self, run: RunDir, offset: int) -> int:
        for event, after in read_events(run.events_file, offset):
            offset = after
            if event.get("kind") == "checkpoint":
                self._checkpoints.put(Path(event["path"]).name)
        return offset

    def _stop_if_wanted(self, run: RunDir) -> None:
        asked = self.wants_stop()
        if not asked and time.monotonic() - self._asked > STOP_SECONDS:
            self._asked = time.monotonic()
            asked = self.store.wants_stop()
        if asked and not run.cancel_file.exists():
            run.cancel_file.touch()

    def _keep_checkpoints(self) -> None:
        """Beside the training. Of several that wait only the newest is worth its way."""
        while (name := self._checkpoints.get()) is not None:
            last = False
            while not self._checkpoints.empty():
                following = self._checkpoints.get()
                if following is None:
                    last = True
                    break
                name = following
            with contextlib.suppress(FileNotFoundError):  # the engine has removed it since: a newer one follows
                try:
                    self.store.keep_checkpoint(self.path, name)
                except FileNotFoundError:
                    raise
                except Exception as error:  # noqa: BLE001 - the run goes on; the next checkpoint may get through
                    print(f"Checkpoint {name} could not be kept: {type(error).__name__}", flush=True)
            if last:
                return


def _engines() -> dict[str, str]:
    """The engine's environment: without the secrets, and offline."""
    hidden = ("HF_TOKEN", "AIFT_RUN_KEY", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _copy(source: Any, log: Any) -> None:
    """The engine's own words: into its log, and into the provider's."""
    for line in source:
        log.write(line)
        log.flush()
        sys.stdout.buffer.write(line)
        sys.stdout.flush()


def _code(ended: dict[str, int]) -> int:
    return -ended["signal"] if "signal" in ended else ended.get("code", 1)
