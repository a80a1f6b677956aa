"""Find archives of people's data whose worker or message was lost."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts.models import DataArchive
from finetune.operations.services.export_data import GIVEN_UP, make_archive, silent_archives

Status = DataArchive.Status


def reconcile_archives() -> int:
    """Say of those that nobody makes any more that they failed, so that their page offers to ask again, and send those that wait into the
    queue once more; gives the number of both. A message too many does no harm."""
    lost = silent_archives().filter(status=Status.MAKING).update(**GIVEN_UP)
    waiting = list(silent_archives().filter(status=Status.WAITING).values_list("pk", flat=True))
    for pk in waiting:
        DataArchive.objects.filter(pk=pk, status=Status.WAITING).update(touched_at=timezone.now())
        make_archive.delay_on_commit(pk)
    return lost + len(waiting)


@shared_task
def reconcile() -> None:
    """The beat's half."""
    reconcile_archives()
