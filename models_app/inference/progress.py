"""How far a program is, told through a small file to the worker that waits for it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

EVERY = 0.25  # seconds between two tellings


class Progress:
    """Called with (done, total) as often as one likes; without a file nobody is told."""

    def __init__(self, file: Path | None):
        self.file = file
        self._told = 0.0

    def __call__(self, done: int, total: int) -> None:
        if self.file is None or (done < total and time.monotonic() - self._told < EVERY):
            return
        self._told = time.monotonic()
        staged = self.file.with_name(f"{self.file.name}.new")
        staged.write_text(json.dumps([done, total]))
        os.replace(staged, self.file)


def read_progress(file: Path) -> tuple[int, int] | None:
    """What was told last; None before the first time."""
    try:
        done, total = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return done, total
