"""A confined run reaches its own files and nobody else's, and leaves no core file."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.engine import confine

LANDLOCK = sys.platform == "linux" and ctypes.CDLL(None).syscall(confine.CREATE_RULESET, None, 0, 1) >= confine.REFER_ABI
TRY = """
import json, os, resource, sys
from pathlib import Path
from training.engine.confine import confine
root = Path(sys.argv[1])
held = confine(sys.argv[2])
def can(act):
    try:
        act()
        return True
    except OSError:
        return False
mine, cache = root / "runs/1/1", root / "cache"
print(json.dumps({
    "held": held,
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "read": {name: can((root / name).read_text) for name in ("secrets.json", "datasets/7/rows", "models/3/w", "runs/2/1/spec.json", "cache/abc")},
    "list": {name: can(lambda: os.listdir(root / name)) for name in (".", "datasets", "runs", "cache", "models/3", "runs/1")},
    "write": {name: can(lambda: (root / name).write_text("x")) for name in ("runs/1/1/x", "cache/new", "models/3/w", "runs/2/1/x")},
    "rename": can(lambda: (mine / "made").mkdir() or (mine / "x").rename(mine / "made/x")),
    "link from the cache": can(lambda: os.link(cache / "abc", mine / "abc")),
    "delete another's": can((root / "datasets/7/rows").unlink),
    "outside": can(lambda: os.listdir("/etc")) and can(lambda: (root.parent / "beside/x").write_text("x")),
    "the worker's memory": can(lambda: open(f"/proc/{os.getppid()}/mem", "rb")),
}))
"""


LIMITS = """
import json, os, resource, sys
from training.engine.confine import OPEN_FILES, confine
before = os.nice(0)
held = confine(sys.argv[1])
def allocate(size):
    try:
        return bool(bytearray(size))
    except MemoryError:
        return False
print(json.dumps({
    "held": held,
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "data": resource.getrlimit(resource.RLIMIT_DATA),
    "nicer": os.nice(0) - before,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= OPEN_FILES,
    "enough": allocate(2 << 30),
}))
"""


def run(program: str, *words: str) -> dict[str, Any]:
    return json.loads(subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
def test_it_reaches_its_own_files_only(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("secrets.json", "datasets/7/rows", "models/3/w", "runs/1/1/spec.json", "runs/2/1/spec.json", "cache/abc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (tmp_path / "beside").mkdir()
    bounds = {"root": root, "read": [root / "models/3"], "write": [root / "runs/1"], "search": [root / "cache"], "nice": 1}
    told = run(TRY, str(root), json.dumps(bounds, default=str))
    assert told == {
        "held": True,
        "core": 0,
        "read": {
            "secrets.json": False,
            "datasets/7/rows": False,
            "models/3/w": True,
            "runs/2/1/spec.json": False,
            "cache/abc": True,
        },
        "list": {".": False, "datasets": False, "runs": False, "cache": False, "models/3": True, "runs/1": True},
        "write": {"runs/1/1/x": True, "cache/new": True, "models/3/w": False, "runs/2/1/x": False},
        "rename": True,
        "link from the cache": True,
        "delete another's": False,
        "outside": True,
        "the worker's memory": False,
    }


def test_without_landlock_the_limits_hold(tmp_path: Path) -> None:
    """As where the kernel has none: no root is told."""
    told = run(LIMITS, json.dumps({"nice": 3, "memory_bytes": 1 << 30, "read": [], "write": [str(tmp_path)]}))
    assert told == {"held": False, "core": [0, 0], "data": [1 << 30, 1 << 30], "nicer": 3, "files": True, "enough": False}


def test_a_run_by_hand_is_told_nothing_and_bound_by_nothing() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert confine.confine(None) is False and confine.confine("") is False
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
