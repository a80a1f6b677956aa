"""The right of one background reader to write to one dataset, good for one attempt."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from datasets_app.announce import announce
from datasets_app.models import Dataset

TELL_EVERY = 0.3  # seconds


class Lost(Exception):
    """Somebody else has this dataset now, or it is gone: stop without a trace."""


class Claim:
    """`mine` finds the row only while it is as it was when it was claimed."""

    def __init__(self, pk: int, attempt: int, mine: QuerySet[Dataset]):
        self.pk, self.attempt, self.mine = pk, attempt, mine
        self.began, self.told = time.monotonic(), 0.0

    def save(self, **values: Any) -> None:
        if not self.mine.update(updated_at=timezone.now(), **values):
            raise Lost

    def rows(self, done: int, total: int) -> None:
        """Rows that are behind us, told a few times a second."""
        if time.monotonic() - self.told > TELL_EVERY or done == total:
            self.told = time.monotonic()
            self.progress(done, total, "rows")

    def progress(self, done: int, total: int, unit: str = "bytes") -> None:
        """Bytes of the file that are behind us, kept in the row and told to the sockets."""
        rate = done / max(time.monotonic() - self.began, 1e-3)
        eta = round((total - done) / rate, 1) if rate else None
        progress = {"done": done, "total": total, "unit": unit, "rate": round(rate), "eta_seconds": eta}
        self.save(progress=progress)
        announce(self.pk, progress=progress)
