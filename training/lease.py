"""Who follows a running job. A lease is one worker's right to write about one attempt; every such write names it.

The owner's name carries the machine and the process, so that a worker which restarts on the same machine
can tell at once that the former holder is dead and need not wait for the lease to run out.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone

from training.engine import process
from training.models import JobQuerySet, TrainingJob

logger = logging.getLogger(__name__)

# A worker on another machine can't see whether the engine still lives, so it waits this many leases longer.
OTHER_MACHINE_LEASES = 4


@dataclass(frozen=True)
class Lease:
    """The hold of `owner` on one attempt of one job."""

    job_id: int
    attempt: int
    owner: str
    before: str = ""
    """Who held a running attempt before it was taken over; empty for a new one."""

    @property
    def is_from_another_machine(self) -> bool:
        return bool(self.before) and self.before.partition("|")[0] != machine()

    @property
    def rows(self) -> JobQuerySet:
        """The job's row while the lease is held; nothing once it is lost."""
        return TrainingJob.objects.filter(pk=self.job_id, attempt=self.attempt, lease_owner=self.owner)

    def renew(self) -> bool:
        """Hold on for another JOB_LEASE_SECONDS; False when somebody else has the job now."""
        return bool(self.rows.update(lease_expires_at=expiry()))

    def release(self) -> bool:
        """Let the next worker take over at once. The owner's name stays, so that workers on the same machine come first."""
        return bool(self.rows.update(lease_expires_at=timezone.now()))


@contextmanager
def held(lease: Lease) -> Iterator[None]:
    """Keep renewing while the block does something that may take longer than a lease: copying files, waiting for imports."""
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(lease, done), name=f"lease-{lease.job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(lease: Lease, done: threading.Event) -> None:
    try:
        while not done.wait(settings.JOB_LEASE_SECONDS / 4):
            try:
                lease.renew()
            except DatabaseError as error:  # it may be back before the lease runs out
                logger.warning("The lease of job %s could not be renewed: %s", lease.job_id, error)
    finally:
        connection.close()  # this thread's own


class LeaseLost(Exception):
    """Another worker has the job: write nothing, stop at once."""


def expiry() -> datetime:
    """When a lease renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)


def new_owner() -> str:
    """A name no other claim has: machine|pid|start|random, at most 100 characters."""
    return f"{machine()}|{os.getpid()}|{_started(os.getpid())}|{uuid.uuid4().hex[:12]}"


@functools.cache
def machine() -> str:
    """Host name and process namespace: two containers that share a host name are two machines."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        namespace = ""
    return f"{(settings.MACHINE_NAME or socket.gethostname())[:48]}-{namespace}"


def holder_is_dead(owner: str) -> bool:
    """Whether the process that took this lease ran on this machine and is gone."""
    where, _, rest = owner.partition("|")
    pid, _, rest = rest.partition("|")
    started = rest.partition("|")[0]
    if where != machine() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def expired() -> Q:
    """Running jobs that nobody holds: expired here, long expired elsewhere."""
    now = timezone.now()
    patience = timedelta(seconds=settings.JOB_LEASE_SECONDS * OTHER_MACHINE_LEASES)
    nobody = Q(lease_expires_at__isnull=True) | Q(lease_owner="")
    here = Q(lease_owner__startswith=f"{machine()}|", lease_expires_at__lte=now)
    return nobody | here | Q(lease_expires_at__lte=now - patience)


def _started(pid: int) -> str:
    identity = process.identity(pid)
    return f"{identity['start_time']:.2f}" if identity else ""
