"""How the threads that compute wait for each other, and how many there are. Must be set before torch is imported.

libgomp's threads spin at every barrier for milliseconds. That is quickest on an idle machine and ruinous on a shared one:
while one thread is off its core, the others burn theirs waiting. So here they spin for some microseconds and then sleep.

The number of threads depends on the machine only, never on how busy it is: sums split among another number of threads
can round otherwise, and a resumed or reproduced run would no longer be the same to the last bit.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

# Turns of the waiting loop before a thread sleeps, tens of microseconds: longer than an uneven split of a matrix product,
# far shorter than the milliseconds for which another process takes the core.
SPINS = "1000"
# Somebody who sets one of these has chosen already.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
CGROUP = Path("/sys/fs/cgroup")


def prepare(environment: MutableMapping[str, str]) -> None:
    """Put the waiting, and the number of threads where the machine lets us use fewer cores than it shows, into `environment`."""
    if not any(name in environment for name in WAITING):
        environment.update({"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS})
    allowed = cores()
    if allowed < (os.cpu_count() or 1):
        environment.setdefault("OMP_NUM_THREADS", str(allowed))


def cores(cgroup: Path = CGROUP) -> int:
    """Cores this process may use at once: its affinity, and a container's CPU quota, which torch doesn't look at."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return usable if quota is None else max(1, min(usable, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time the container gets (cgroup v2's cpu.max, v1's cpu.cfs_quota_us); None without a limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join((cgroup / name).read_text() for name in names).split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
