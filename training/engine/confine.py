"""A run's own bounds, set by the run itself before it does anything: from then on neither it nor what it starts gets out of them.

Told by the platform in $AIFT_CONFINE, JSON: {root, read, write, search, nice, memory_bytes}. Below `root` (DATA_DIR) only what lies in
the directories `read` and `write` can be opened, and what is in `search` ones by who knows its name: other people's files, the database
and the keys can't. Linux' Landlock holds this, for every user and without privileges; where there is none, the limits alone hold. A run
by hand is told nothing and is bound by nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "AIFT_CONFINE"
OPEN_FILES = 65536
NO_NEW_PRIVILEGES = 38  # prctl(2)
# landlock(7): numbers of the system calls are the same on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG, PATH_BENEATH = 1, 1
REFER_ABI, TRUNCATE_ABI = 2, 3  # before REFER nothing can be moved between directories, which a checkpoint needs
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
CHANGE_DIR = sum(1 << bit for bit in range(4, 13))  # remove and make entries of every kind
REFER, TRUNCATE = 1 << 13, 1 << 14


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def confine(told: str | None) -> bool:
    """Bind this process for good. True when it can't reach other people's files any more. Never fails: what a system can't do is left."""
    if not told:
        return False
    bounds = json.loads(told)
    _limit(bounds)
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    abi = library.syscall(CREATE_RULESET, None, 0, VERSION_FLAG)
    return abi >= REFER_ABI and bool(bounds.get("root")) and _restrict(library, abi, bounds)


def _limit(bounds: dict[str, Any]) -> None:
    """No core file (it would hold the data), a bounded number of open files, politeness, and memory where it is bounded."""
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, OPEN_FILES)
    if memory := int(bounds.get("memory_bytes") or 0):
        _set(resource.RLIMIT_DATA, memory)
    with contextlib.suppress(OSError):
        os.nice(int(bounds.get("nice") or 0))


def _set(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (value, value))


def _restrict(library: Any, abi: int, bounds: dict[str, Any]) -> bool:
    on_files = READ_FILE | WRITE_FILE | (TRUNCATE if abi >= TRUNCATE_ABI else 0)
    everything = on_files | READ_DIR | CHANGE_DIR | REFER
    wanted = dict.fromkeys([*_beside(Path(bounds["root"])), *map(Path, bounds["write"])], everything)
    wanted |= {Path(path): everything & ~READ_DIR for path in bounds.get("search", ())}
    wanted |= {Path(path): READ_FILE | READ_DIR for path in bounds["read"]}
    ruleset = library.syscall(CREATE_RULESET, ctypes.byref(_Ruleset(everything)), ctypes.sizeof(_Ruleset), 0)
    if ruleset < 0:
        return False
    try:
        for path, access in wanted.items():
            _allow(library, ruleset, path, access, on_files)
        return library.syscall(RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _beside(root: Path) -> Iterator[Path]:
    """Everything that is neither `root` nor a directory it lies in. No links: what they lead to is named by itself, or is `root`."""
    inside = {root, *root.parents}
    for parent in root.parents:
        with contextlib.suppress(OSError):
            yield from (path for path in parent.iterdir() if path not in inside and not path.is_symlink())


def _allow(library: Any, ruleset: int, path: Path, access: int, on_files: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it has gone, or is out of reach anyway
        return
    try:
        rule = _PathBeneath(access if path.is_dir() else access & on_files, opened)
        library.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
