"""Whether the kernel ended a process because memory ran out: SIGKILL alone doesn't say, the kernel's counters do.

Counted before a run and after it was killed. Another process of the same container that dies meanwhile counts too; what
follows from a wrong guess (smaller batches) harms nothing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

ROOT = Path("/")


def count(root: Path = ROOT) -> int | None:
    """Processes the kernel has killed for memory: of this process's control group (cgroup v2), else of the machine. None if unknown."""
    for file in (*_group_files(root), root / "proc/vmstat"):
        with contextlib.suppress(OSError, ValueError):
            words = dict(line.split() for line in file.read_text().splitlines())
            if "oom_kill" in words:
                return int(words["oom_kill"])
    return None


def rose(before: int | None) -> bool:
    """Whether one was killed since `before` was counted."""
    now = count()
    return before is not None and now is not None and now > before


def _group_files(root: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                group = root / "sys/fs/cgroup" / line.removeprefix("0::").lstrip("/")
                return [group / "memory.events", root / "sys/fs/cgroup/memory.events"]
    return []
