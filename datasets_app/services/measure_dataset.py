"""Count a dataset's tokens with a model's own tokenizer, in the background. The result is kept: the same rows and tokenizer are
never counted twice."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import shared_task
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from datasets_app import tokens
from datasets_app.announce import announce
from datasets_app.doctor.tokens import TokenPass
from datasets_app.models import Dataset, Measurement
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core import storage

logger = logging.getLogger(__name__)
S = Measurement.Status
SILENT = timedelta(seconds=60)  # a worker says how far it is several times a second; one silent for so long is gone
TELL_EVERY = 0.3  # seconds


def measure_dataset(*, dataset: Dataset, model_id: int) -> Measurement:
    """The measurement of these rows under this model's tokenizer: done, or queued by this call (also when it failed before).

    Invalid when the model is not the owner's or its tokenizer is not on this machine; Conflict while the dataset has no rows.
    """
    refuse_unready(dataset, gated=True)
    directory = tokens.tokenizer_directory(dataset.owner, model_id)
    key = key_of(dataset, directory)
    known = _known(dataset, key)
    if known is not None:
        return known
    with transaction.atomic():
        found = _row(dataset, key, model_id, directory)
        lost = found.status in (S.QUEUED, S.RUNNING) and found.updated_at < timezone.now() - SILENT
        if lost or found.status in (S.FAILED, S.CANCELLED):
            found.move(S.QUEUED, when=found.status, progress=None, error="", updated_at=timezone.now())
            measure.delay_on_commit(found.pk)
    return found


def key_of(dataset: Dataset, directory: Path) -> str:
    """Equal keys, equal tokens."""
    parts = [dataset.content_hash, json.dumps(dataset.mapping, sort_keys=True), dataset.kind, tokens.fingerprint(directory)]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def _known(dataset: Dataset, key: str) -> Measurement | None:
    """A finished one of this dataset, or of other rows of the same owner that are the same."""
    if not dataset.content_hash:
        return None
    done = Measurement.objects.filter(Q(dataset=dataset) | Q(dataset__owner=dataset.owner_id), key=key, status=S.DONE)
    return done.first()


def _row(dataset: Dataset, key: str, model_id: int, directory: Path) -> Measurement:
    values = {"model_id": model_id, "directory": storage.place_of(directory)}
    try:
        with transaction.atomic():
            found, made = Measurement.objects.get_or_create(dataset=dataset, key=key, defaults=values)
    except IntegrityError:  # somebody asked for the same in this moment
        return Measurement.objects.get(dataset=dataset, key=key)
    if made:
        measure.delay_on_commit(found.pk)
    return found


def await_measurement(*, measurement: Measurement, seconds: float) -> Measurement:
    """Wait shortly for a measurement that is about to be done; whatever it is by then."""
    until = time.monotonic() + seconds
    while measurement.status in (S.QUEUED, S.RUNNING) and time.monotonic() < until:
        time.sleep(0.1)
        measurement.refresh_from_db()
    return measurement


# --- the background half --------------------------------------------------------------------------------------------------


class _Stopped(Exception):
    """Cancelled, deleted, or another worker has it."""


class _Turn:
    """The right to write to one measurement, good for one attempt."""

    def __init__(self, pk: int, dataset: int, attempt: int):
        self.mine = Measurement.objects.filter(pk=pk, status=S.RUNNING, attempt=attempt)
        self.dataset, self.began, self.told = dataset, time.monotonic(), 0.0

    def save(self, **values: Any) -> None:
        if not self.mine.update(updated_at=timezone.now(), **values):
            raise _Stopped

    def rows(self, done: int, total: int) -> None:
        if time.monotonic() - self.told < TELL_EVERY and done < total:
            return
        self.told = time.monotonic()
        rate = done / max(self.told - self.began, 1e-3)
        eta = round((total - done) / rate, 1) if rate else None
        progress = {"done": done, "total": total, "unit": "rows", "rate": round(rate), "eta_seconds": eta}
        self.save(progress=progress)
        announce(self.dataset, progress=progress)


@shared_task
def measure(pk: int) -> None:
    """Count. A second delivery finds nothing to claim; a cancelled one stops within a batch of rows."""
    found = Measurement.objects.filter(pk=pk, status=S.QUEUED).select_related("dataset").first()
    if found is None:
        return
    claimed = Measurement.objects.filter(pk=pk, status=S.QUEUED, attempt=found.attempt)
    if not claimed.update(status=S.RUNNING, attempt=found.attempt + 1, updated_at=timezone.now()):
        return
    turn = _Turn(pk, found.dataset_id, found.attempt + 1)
    try:
        counted = TokenPass(tokens.load(storage.path_of(found.directory)), found.dataset.kind)
        counted.run(found.dataset.rows_file, turn.rows)
        turn.save(status=S.DONE, result=counted.statistics(), progress=None)
    except _Stopped:
        logger.info("Measurement %s was cancelled or taken over.", pk)
    except Exception as error:
        logger.exception("Dataset %s could not be measured.", found.dataset_id)
        turn.mine.update(status=S.FAILED, error=_words(error), progress=None, updated_at=timezone.now())
    announce(found.dataset_id)


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "The rows or the tokenizer are missing on the server."
    return f"Counting stopped on an error ({type(error).__name__}); it is in the worker's log. The tokenizer may be broken."
