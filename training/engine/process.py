"""Who a process is, safely against re-used process numbers: {pid, start_time, boot_id}.

Imported by the platform too, so nothing heavy is imported here. `start_time` is in the operating system's own unit
(clock ticks since boot on Linux, seconds since 1970 elsewhere): compare it, don't show it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psutil


def identity(pid: int) -> dict[str, Any] | None:
    """The identity of a running process; None when there is none with this number (a zombie has ended)."""
    start_time = _start_time(pid)
    return None if start_time is None else {"pid": pid, "start_time": start_time, "boot_id": boot_id()}


def is_alive(who: dict[str, Any] | None) -> bool:
    """Whether exactly this process, and not a later one with its number, still runs on this machine."""
    return who is not None and bool(who) and identity(who["pid"]) == who


def terminate(who: dict[str, Any] | None, *, force: bool = False) -> bool:
    """Ask exactly this process to stop (SIGTERM; SIGKILL with `force`). False when it had ended already."""
    if not who:
        return False
    with _handle(who["pid"]) as handle:
        if not is_alive(who):
            return False
        return _send(handle, who["pid"], signal.SIGKILL if force else signal.SIGTERM)


@cache
def boot_id() -> str:
    """Changes with every start of the machine, so an identity from before a reboot never matches."""
    file = Path("/proc/sys/kernel/random/boot_id")
    if file.exists():
        return file.read_text().strip()
    if sys.platform == "darwin":
        done = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return done.stdout.strip()
    return str(int(psutil.boot_time()))


def _start_time(pid: int) -> float | None:
    if sys.platform == "linux":
        return _linux_start_time(pid)
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _linux_start_time(pid: int) -> float | None:
    # Read raw: psutil adds the boot time, which moves when the wall clock is corrected.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else float(fields[19])


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    """A descriptor that keeps meaning the same process, taken before it is checked; None where there are none."""
    try:
        descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        descriptor = None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _send(handle: int | None, pid: int, number: int) -> bool:
    try:
        if handle is not None:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
