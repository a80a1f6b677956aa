"""Room for a run's last words: a little of the disk is kept from its beginning, and given back when the disk is full."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import checkpoints
from .rundir import RunDir

BYTES = 1 << 16


def keep_room(run_dir: RunDir) -> None:
    """Take the room. Of bytes that no file system can store in fewer."""
    _file(run_dir).write_bytes(os.urandom(BYTES))


def give_back(run_dir: RunDir) -> None:
    """The run has ended."""
    _file(run_dir).unlink(missing_ok=True)


def make_room(run_dir: RunDir) -> None:
    """The disk is full: give the room back, with whatever is half-written."""
    give_back(run_dir)
    for path in [*run_dir.checkpoints.glob(f"{checkpoints.STAGING}*"), *run_dir.path.glob(f"{checkpoints.STAGING}*")]:
        shutil.rmtree(path, ignore_errors=True)


def _file(run_dir: RunDir) -> Path:
    return run_dir.path / ".room-for-last-words"
