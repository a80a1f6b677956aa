"""Find evaluations whose worker or message was lost, and go on with them."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from models_app.models import Evaluation
from models_app.run_evaluation import run_evaluations

# A worker writes to the row twice a second while it generates; loading a large model or one long row takes longer.
SILENT = timedelta(seconds=180)
MAX_RESTARTS = 3
WORDS = "It was lost with its worker several times. Look at the worker's log before you try again."
S = Evaluation.Status


def reconcile_evaluations() -> int:
    """Put silent ones back into the queue (after MAX_RESTARTS they fail, in words) and wake a worker for those that wait; gives the
    number found silent. A message too many does no harm."""
    silent = list(Evaluation.objects.filter(status=S.RUNNING, updated_at__lt=timezone.now() - SILENT))
    for evaluation in silent:
        row = Evaluation.objects.filter(pk=evaluation.pk, status=S.RUNNING, updated_at=evaluation.updated_at)
        if evaluation.restarts >= MAX_RESTARTS:
            row.update(status=S.FAILED, error=WORDS, progress=None, finished_at=timezone.now())
        else:
            row.update(status=S.QUEUED, restarts=evaluation.restarts + 1, updated_at=timezone.now())
    if Evaluation.objects.filter(status=S.QUEUED).exists():
        run_evaluations.delay_on_commit()
    return len(silent)


@shared_task
def reconcile() -> None:
    """The beat's half."""
    reconcile_evaluations()
