"""A Modal Sandbox: the run's files are on a volume, its events are lines of the Sandbox's output.

The platform writes `run/lease` (seconds since 1970 until when it wants the run) and, to stop it, `run/cancel`, and has the volume read anew.
A run whose lease has run out stops by itself with a checkpoint: nobody is there to pay attention to what it costs.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from .runner import Runner
from .stores import FolderStore
from .voices import Output


class VolumeStore(FolderStore):
    """A volume's directory, with the lease on it."""

    def wants_stop(self) -> bool:
        return super().wants_stop() or self._lease_is_over()

    def _lease_is_over(self) -> bool:
        try:
            return float((self.folder / "lease").read_text()) < time.time()
        except (OSError, ValueError):  # being rewritten: look again
            return False


def run_sandbox() -> int:
    """AIFT_ROOT is where the volume is; HF_TOKEN, a secret, may be needed for the base model."""
    root = Path(os.environ["AIFT_ROOT"])
    path = Path(tempfile.mkdtemp(prefix="aift-")) / "attempt"
    store = VolumeStore(root, sync=lambda: _commit(root))
    voice = lambda run, incarnation: Output(run / "events.jsonl", incarnation)  # noqa: E731 - a Runner wants a function
    return Runner(path, store, voice, token=os.environ.get("HF_TOKEN", "")).run()


def _commit(root: Path) -> None:
    """Modal commits a volume when its mount is synced; else in the background, and when the Sandbox ends."""
    subprocess.run(["sync", str(root)], check=False)
