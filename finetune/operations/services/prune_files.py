"""Remove what the rules of retention let go."""

from __future__ import annotations

import logging
import os
import uuid

from celery import shared_task
from django.db import transaction

from finetune.core import storage, store, store_care
from finetune.core.errors import Unavailable
from finetune.operations.retention import GONE, Removable, removable
from training.models import TrainingJob

logger = logging.getLogger(__name__)


def prune_files(*, dry_run: bool = False) -> list[Removable]:
    """Remove checkpoints, logs and run directories older than RETAIN_*_DAYS, unused prepared tokens, and debris older than a day.

    Gives what was removed, or would be, with the bytes that this frees. Files of a job that is resumed in this moment stay.
    """
    return [found for found in removable() if dry_run or _remove(found)]


def _remove(found: Removable) -> bool:
    """A directory is first put out of sight while its job is held still: no resume can find half a checkpoint."""
    doomed = found.path.with_name(f"{GONE}{uuid.uuid4().hex}")
    try:
        with transaction.atomic():
            if found.job is not None and not _still_ended(found.job):
                return False
            if found.path.exists():
                os.replace(found.path, doomed)
    except OSError as error:
        logger.warning("%s could not be removed: %s", found.path, error)
        return False
    if doomed.is_dir():
        storage.remove_tree(doomed)
    else:
        doomed.unlink(missing_ok=True)
    store.forget(found.path)
    return True


def _still_ended(job: int) -> bool:
    """The update locks the row, so that nobody can resume the job until its files are out of the way."""
    return bool(TrainingJob.objects.filter(pk=job, status__in=TrainingJob.FINISHED).update(lease_owner=""))


@shared_task(name="finetune.operations.services.prune_files.prune")
def prune() -> None:
    """Every night, by beat."""
    gone = prune_files()
    if gone:
        logger.info("Removed %s files and directories, %s bytes.", len(gone), sum(found.bytes for found in gone))
    try:
        store_care.sweep()
    except Unavailable as error:
        logger.warning("The shared store was not swept: %s", error)
