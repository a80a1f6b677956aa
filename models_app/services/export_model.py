"""A model's files in another form: the adapter alone, a merged model, a GGUF file."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from finetune.core import storage, store
from finetune.core.errors import Conflict, DomainError
from finetune.core.templatetags.ui import size
from models_app import hub_transfer
from models_app.announce import announce
from models_app.export_kinds import bytes_needed, checked
from models_app.export_work import ExportWork
from models_app.models import Export, LanguageModel

logger = logging.getLogger(__name__)
S = Export.Status
ACTIVE = (S.QUEUED, S.RUNNING)
SPARE_BYTES = 1000**3  # left on the disk for everything else
TRIES = 3


def export_model(*, model: LanguageModel, format: str, quantization: str = "") -> Export:
    """The export at once, `queued`; a worker makes it. Asked for again it is the same one, and one that failed begins anew.

    `format` is adapter, merged (`quantization` bf16, fp16, fp32, or empty for the base's own) or gguf (f16, bf16, f32, q8_0, with
    llama-quantize also k-quants). Refuses: an unknown format, an architecture that has no GGUF here, an adapter of a whole model
    (Invalid); a model that is not ready, a disk without room (Conflict).
    """
    format, quantization = checked(model, format, quantization)
    with transaction.atomic():
        export = _row(model, format, quantization)
        if export.busy or (export.status == S.READY and _complete(export)):
            return export
        _refuse_disk(export)
        fresh = {"tries": 0, "error": "", "progress": None, "files": [], "bytes": 0, "checks": {}, "updated_at": timezone.now()}
        if export.move(S.QUEUED, when=(S.READY, S.FAILED, S.CANCELLED), **fresh):
            build.delay_on_commit(export.pk)
            announce(model)
    return export


def _row(model: LanguageModel, format: str, quantization: str) -> Export:
    """This version's one export of that kind; a new one counts as cancelled until it is queued."""
    wanted = {"model": model, "format": format, "quantization": quantization}
    return Export.objects.get_or_create(**wanted, defaults={"owner": model.owner, "status": S.CANCELLED})[0]


def _complete(export: Export) -> bool:
    return store.has(export.place, *(file["path"] for file in export.files))


def _refuse_disk(export: Export) -> None:
    needed = bytes_needed(export.model, export.format, export.quantization)
    free = shutil.disk_usage(settings.DATA_DIR).free
    if needed + SPARE_BYTES > free:
        words = f"This needs about {size(needed)} on the server's disk; {size(free)} are free. Delete what is not needed."
        raise Conflict(words, code="disk_full")


@shared_task
def build(pk: int) -> None:
    """The background half: one worker at a time; harmless when delivered twice, and it begins again when its worker died."""
    folder = storage.export_dir(pk).with_name(f".{pk}-part")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hub_transfer.alone_in(folder):
            rows = Export.objects.select_related("model__base_model", "model__produced_by", "owner")
            if export := rows.filter(pk=pk, status__in=ACTIVE).first():
                _run(export, folder)
            storage.remove_tree(folder)
    except hub_transfer.Busy:
        return


def _run(export: Export, folder: Path) -> None:
    if export.tries >= TRIES:
        _fail(export, "The export was cut off several times. Look at the worker's log, then export again.")
        return
    try:
        now = {"tries": export.tries + 1, "updated_at": timezone.now()}
        if not export.move(S.RUNNING, when=ACTIVE, **now):
            return
        _make(export, folder)
    except hub_transfer.Stopped:
        logger.info("Export %s was stopped.", export.pk)
    except DomainError as error:
        _fail(export, error.message)
    except OSError as error:
        logger.exception("Export %s could not be made.", export.pk)
        _fail(export, f"The server could not read or write the files: {error.strerror or type(error).__name__}.")


def _make(export: Export, folder: Path) -> None:
    work = ExportWork(export, folder)
    content = work.make()
    files = work.hashed(content)
    target = storage.export_dir(export.pk)
    shutil.rmtree(target, ignore_errors=True)
    content.replace(target)
    try:
        store.publish(target, beat=work.beat)
    except hub_transfer.Stopped:
        storage.remove_tree(target)
        raise
    made: dict[str, Any] = {"files": files, "bytes": sum(file["bytes"] for file in files), "checks": work.checks, "progress": None}
    if export.move(S.READY, when=S.RUNNING, error="", updated_at=timezone.now(), **made):
        announce(export.model)
    else:
        storage.remove_tree(target)


def _fail(export: Export, words: str) -> None:
    if export.move(S.FAILED, when=ACTIVE, error=words, progress=None, updated_at=timezone.now()):
        announce(export.model)
