"""What trees are called: on the disk, in the bucket and in the database; and which state of each is on this machine (store.py)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Q

STATES, STATE = "stored", ".state"
# Nothing but the directory of one row; a run or a part of a dataset may come again under its name.
WHOLE = re.compile(r"(datasets|models|exports|runs)/[0-9]+")


def all_rows() -> Any:
    return apps.get_model("core", "StoredTree").objects


def rows() -> Any:
    return all_rows().filter(gone_at=None)


def below(key: str) -> Any:
    return rows().filter(Q(key=key) | Q(key__startswith=f"{key}/"))


def key_of(path: Path) -> str | None:
    """The path under DATA_DIR; None for one that lies elsewhere, such as in the Hub cache."""
    return path.relative_to(settings.DATA_DIR).as_posix() if path.is_relative_to(settings.DATA_DIR) else None


def object_name(key: str, name: str, sha256: str) -> str:
    return f"{key}/{sha256}/{name or Path(key).name}"


def objects_of(key: str, files: dict[str, Any]) -> set[str]:
    return {object_name(key, name, file["sha256"]) for name, file in files.items()}


def is_of(key: str, name: str) -> bool:
    """Whether the object belongs to this tree itself and not to one below it."""
    part = name.removeprefix(f"{key}/").partition("/")[0]
    return len(part) == 64 and set(part) <= set("0123456789abcdef")


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# --- What is here -----------------------------------------------------------------------------------------------------------


def state_file(key: str) -> Path:
    return settings.DATA_DIR / STATES / f"{key}{STATE}"


def noted(key: str) -> str:
    try:
        return state_file(key).read_text()
    except OSError:
        return ""


def note(key: str, digest: str) -> None:
    file = state_file(key)
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.write_text(digest)
    os.replace(staged, file)


@contextmanager
def alone(key: str) -> Iterator[None]:
    """One process of this machine at a time works on a tree; the system takes the lock away from a dead one."""
    folder = settings.DATA_DIR / STATES
    folder.mkdir(exist_ok=True)
    number = hashlib.sha256(key.encode()).digest()[0]  # some trees share a lock: so there is a fixed number of files
    with open(folder / f".lock-{number}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
