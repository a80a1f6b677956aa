"""The clocks agree: leases and queues compare times that several machines wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.db import connection

from finetune.operations.checks import broker, database
from finetune.operations.findings import BAD, OK, WARN, Finding

NAME = "clock"


def examine() -> Iterator[Finding]:
    for name, seconds in _differences():
        apart = abs(seconds)
        remedy = "Run a time service (chrony, systemd-timesyncd) on every machine."
        if apart > settings.JOB_LEASE_SECONDS / 2:
            yield Finding(
                NAME, BAD, f"The {name}'s clock is {apart:.0f} s off this machine's: jobs may be taken from live workers.", remedy
            )
        elif apart > 2:
            yield Finding(NAME, WARN, f"The {name}'s clock is {apart:.1f} s off this machine's.", remedy)
        else:
            yield Finding(NAME, OK, f"The {name}'s clock agrees with this machine's.")


def _differences() -> Iterator[tuple[str, float]]:
    """Of the servers that answer; SQLite has this machine's clock."""
    if connection.vendor == "postgresql" and not database.unreachable():
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            yield "database", float(cursor.fetchone()[0]) - time.time()
    if not broker.unreachable():
        seconds, micro = broker.client().time()  # type: ignore[misc]
        yield "broker", seconds + micro / 1e6 - time.time()
