"""The one way events become rows: sequence numbers without gaps, in the transaction that proves the right to write.

`append` first updates the job's row through the queryset it is given. That update is the compare-and-swap (the state, or
the lease) and, because it locks the row until commit, it also puts concurrent writers in order: numbers are committed
in the order they are given out. After the commit the job's socket group is rung; a lost ring only costs a second.
"""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from training.models import JobEvent, JobQuerySet, TrainingJob

logger = logging.getLogger(__name__)
# A ring carries the newest events only while they are few; else it says "look again" and sockets read the rows.
RING_EVENTS = 200
RING_BYTES = 200_000
WORTH_A_COPY = 20


@dataclass(frozen=True)
class Entry:
    """An event before it has a number."""

    kind: str
    payload: dict[str, Any] = field(default_factory=dict)
    time: datetime = field(default_factory=timezone.now)


def group_name(job_id: int) -> str:
    """The channel group of everybody who watches this job."""
    return f"job.{job_id}"


def append(rows: JobQuerySet, entries: list[Entry], **values: Any) -> list[JobEvent] | None:
    """Set `values` on the one job in `rows` and add the events; None, and nothing written, when `rows` is empty."""
    with transaction.atomic():
        locked = list(rows.values_list("pk", flat=True)[:1])
        if not locked or not rows.update(last_seq=F("last_seq") + len(entries), **values):
            return None
        job = TrainingJob.objects.only("pk", "last_seq", "attempt").get(pk=locked[0])
        first = job.last_seq - len(entries) + 1
        events = [
            JobEvent(
                job=job, seq=first + index, attempt=job.attempt, kind=entry.kind, time=entry.time, payload=storable(entry.payload)
            )
            for index, entry in enumerate(entries)
        ]
        _insert(events)
        transaction.on_commit(functools.partial(ring, job.pk, events, job.last_seq), robust=True)
    return events


def _insert(events: list[JobEvent]) -> None:
    """The rows, without their primary keys: PostgreSQL takes many of them several times as fast by COPY as by INSERT."""
    if connection.vendor != "postgresql" or len(events) < WORTH_A_COPY:
        JobEvent.objects.bulk_create(events, batch_size=500)
        return
    names = ("job_id", "seq", "attempt", "kind", "time", "payload")
    with connection.cursor() as cursor, cursor.copy(f"COPY {JobEvent._meta.db_table} ({', '.join(names)}) FROM STDIN") as copy:
        for event in events:
            copy.write_row([*(getattr(event, name) for name in names[:-1]), json.dumps(event.payload)])


def storable(value: Any) -> Any:
    """The value without what PostgreSQL can't keep in a text: NUL and halves of characters become �. A model may say either."""
    if isinstance(value, str):
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not value.isascii() else value
        return whole.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, (list, tuple)) else value


def ring(job_id: int, events: list[JobEvent], last_seq: int) -> None:
    """Tell the sockets. Failing is no error: they also look by themselves."""
    message: dict[str, Any] = {"type": "job.events", "events": None, "last_seq": last_seq}
    if events and len(events) <= RING_EVENTS:
        batch = [event.as_dict() for event in events]
        if len(json.dumps(batch)) <= RING_BYTES:
            message["events"] = batch
    try:
        async_to_sync(get_channel_layer().group_send)(group_name(job_id), message)
    except Exception as error:  # noqa: BLE001  (the channel layer raises its driver's errors; none may hurt the run)
        logger.warning("Sockets of job %s were not rung: %s", job_id, error)


def moment(seconds: Any) -> datetime:
    """The engine's time stamp (seconds since 1970) as a datetime; now when it is missing or absurd."""
    try:
        return datetime.fromtimestamp(float(seconds), tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return timezone.now()
