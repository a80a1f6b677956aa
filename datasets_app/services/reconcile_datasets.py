"""Find datasets whose reading was lost with its worker or its message, and begin again."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from datasets_app.announce import announce
from datasets_app.formats.problems import Problem
from datasets_app.models import Dataset
from datasets_app.services.examine_dataset import examine, give_up
from datasets_app.services.validate_dataset import ingest

# A reader writes its progress several times a second; one that was silent for so long is gone.
SILENT = timedelta(seconds=60)
MAX_RESTARTS = 3
WORDS = "Reading the file was cut off several times, probably because the server ran out of memory. Check the dataset again or split it."
UNSEEN = (
    "Looking closer at the rows was cut off several times, probably because the server ran out of memory. Check the dataset again."
)
S = Dataset.Status


def reconcile_datasets() -> int:
    """Queue again what nobody works on: `uploaded` rows nobody took, `validating` rows gone silent, and rows in use that the doctor
    has not seen. Gives the number found.

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
    return len(found) + len(unseen)


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


@shared_task
def reconcile() -> None:
    """The beat's half."""
    reconcile_datasets()
