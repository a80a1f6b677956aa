"""Find downloads and pushes whose worker or message was lost, and go on with them."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from models_app import hub_transfer
from models_app.announce import announce
from models_app.models import Export, LanguageModel, OllamaCopy
from models_app.services.download_model import fetch
from models_app.services.export_model import ACTIVE as EXPORTING
from models_app.services.export_model import build
from models_app.services.import_ollama import ACTIVE as IMPORTING
from models_app.services.import_ollama import send
from models_app.services.push_model import ACTIVE, push

# A worker writes to the row twice a second; one that was silent for so long is gone.
SILENT = timedelta(seconds=60)
# One that no worker has begun may only be waiting behind others; its message is sent again now and then, in case it was lost.
WAITING = timedelta(minutes=10)
MAX_RESTARTS = 5
KEEP_PARTIAL_SECONDS = 7 * 24 * 3600
WORDS = "The download was cut off several times. Look at the worker's log, then download again: what has come is kept."
S = LanguageModel.Status


def reconcile_models() -> int:
    """Queue the downloads again that nobody works on; after MAX_RESTARTS lost workers they fail, in words. Gives the number found.

    A message too many does no harm: a model is downloaded by one worker at a time. Begun files nobody goes on with are removed.
    """
    now = timezone.now()
    silent = LanguageModel.objects.filter(source="hub", status=S.DOWNLOADING, updated_at__lt=now - SILENT)
    found = [model for model in silent if model.progress or model.updated_at < now - WAITING]
    for model in found:
        _go_on(model)
    lost = LanguageModel.objects.filter(push_status__in=ACTIVE, updated_at__lt=timezone.now() - SILENT)
    for pk in lost.values_list("pk", flat=True):
        push.delay_on_commit(pk)  # counts its own tries
    idle = Export.objects.filter(status__in=EXPORTING, updated_at__lt=timezone.now() - SILENT)
    for pk in idle.values_list("pk", flat=True):
        build.delay_on_commit(pk)  # likewise
    lost_imports = OllamaCopy.objects.filter(status__in=IMPORTING, updated_at__lt=timezone.now() - SILENT)
    for pk in lost_imports.values_list("pk", flat=True):
        send.delay_on_commit(pk)  # likewise
    hub_transfer.forget_old_partials(KEEP_PARTIAL_SECONDS)
    return len(found)


def _go_on(model: LanguageModel) -> None:
    """Only if the row is as it was seen: its worker may have come back meanwhile."""
    row = LanguageModel.objects.filter(pk=model.pk, status=S.DOWNLOADING, updated_at=model.updated_at)
    lost = model.progress is not None
    if lost and model.restarts >= MAX_RESTARTS:
        if row.update(status=S.FAILED, error=WORDS, progress=None, updated_at=timezone.now()):
            announce(model)
    elif row.update(restarts=model.restarts + lost, updated_at=timezone.now()):
        fetch.delay_on_commit(model.pk)


@shared_task
def reconcile() -> None:
    """The beat's half."""
    reconcile_models()
