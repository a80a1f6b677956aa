"""Find datasets whose reading was lost with its worker or its message, and begin again."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from datasets_app.announce import announce
from datasets_app.formats.problems import Problem
from datasets_app.models import Dataset
from datasets_app.services.examine_dataset import examine, give_up
from datasets_app.services.split_dataset import FAILED, QUEUED, RUNNING, divide_rows
from datasets_app.services.validate_dataset import ingest

# A reader writes its progress several times a second; one that was silent for so long is gone.
SILENT = timedelta(seconds=60)
MAX_RESTARTS = 3
WORDS = "Reading the file was cut off several times, probably because the server ran out of memory. Check the dataset again or split it."
UNSEEN = (
    "Looking closer at the rows was cut off several times, probably because the server ran out of memory. Check the dataset again."
)
UNDIVIDED = "Dividing was cut off several times, probably because the server ran out of memory. Try again when it is less busy."
S = Dataset.Status


def reconcile_datasets() -> int:
    """Queue again what nobody works on: `uploaded` rows nobody took, `validating` rows gone silent, rows in use that the doctor
    has not seen, and splits nobody makes. Gives the number found.

    After MAX_RESTARTS lost readings the dataset becomes invalid, in words. A message too many does no harm: only one reader
    can claim a dataset.
    """
    silent = Dataset.objects.filter(updated_at__lt=timezone.now() - SILENT)
    found = list(silent.filter(status__in=(S.UPLOADED, S.VALIDATING)))
    for dataset in found:
        _begin_again(dataset)
    unseen = list(silent.filter(status=S.READY, examined=False))
    for dataset in unseen:
        _examine_again(dataset)
    undivided = list(silent.filter(division__state__in=(QUEUED, RUNNING)))
    for dataset in undivided:
        _divide_again(dataset, dataset.division or {})
    return len(found) + len(unseen) + len(undivided)


def _begin_again(dataset: Dataset) -> None:
    """Only if the row is as it was seen: its reader may have come back meanwhile."""
    row = Dataset.objects.filter(pk=dataset.pk, status=dataset.status, updated_at=dataset.updated_at)
    lost = dataset.status == S.VALIDATING
    if lost and dataset.restarts >= MAX_RESTARTS:
        report = {"valid_rows": 0, "counts": {"not_read": 1}, "problems": [Problem("not_read", WORDS).as_dict()], "suggestion": {}}
        if row.update(status=S.INVALID, errors=1, report=report, progress=None, updated_at=timezone.now()):
            announce(dataset.pk)
    elif row.update(status=S.UPLOADED, restarts=dataset.restarts + lost, progress=None, updated_at=timezone.now()):
        ingest.delay_on_commit(dataset.pk)


def _examine_again(dataset: Dataset) -> None:
    row = Dataset.objects.filter(pk=dataset.pk, status=S.READY, examined=False, updated_at=dataset.updated_at)
    if dataset.restarts >= MAX_RESTARTS:
        if give_up(dataset, row, UNSEEN):
            announce(dataset.pk)
    elif row.update(restarts=dataset.restarts + 1, updated_at=timezone.now()):
        examine.delay_on_commit(dataset.pk)


def _divide_again(dataset: Dataset, division: dict[str, Any]) -> None:
    row = Dataset.objects.filter(pk=dataset.pk, updated_at=dataset.updated_at)
    if division["restarts"] >= MAX_RESTARTS:
        if row.update(division=division | {"state": FAILED, "error": UNDIVIDED}, updated_at=timezone.now()):
            announce(dataset.pk)
        return
    again = {"state": QUEUED, "token": secrets.token_hex(6), "restarts": division["restarts"] + 1}
    if row.update(division=division | again, updated_at=timezone.now()):
        divide_rows.delay_on_commit(dataset.pk, again["token"])


@shared_task
def reconcile() -> None:
    """The beat's half."""
    reconcile_datasets()
