"""What the platform keeps is its own user's only: the folder and what lies in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO
KEPT = ("secrets.json", "db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm")


def write_privately() -> None:
    """Nobody else may read what this process, and those it starts, write from now on."""
    os.umask(OTHERS)


def close(data_dir: Path) -> None:
    """Nor what earlier releases left open there.

    A folder of another user, or one that many write to (/tmp), stays as it is: `manage.py doctor` says so.
    """
    for path in (data_dir, *(data_dir / name for name in KEPT)):
        if path.exists():
            _close(path)


def _close(path: Path) -> None:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & OTHERS and not mode & stat.S_ISVTX and found.st_uid == os.geteuid():
        path.chmod(mode & ~OTHERS)
