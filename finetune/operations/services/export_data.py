"""Everything of one person's in one archive, for that person to take away."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO

from celery import shared_task
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import DataArchive, Notification, User
from accounts.services.notify import notify
from finetune.core import store
from finetune.core.checksums import sha256_of
from finetune.core.errors import Unavailable
from finetune.operations.takeout import Entry, count, entries

logger = logging.getLogger(__name__)
Status = DataArchive.Status
IN_MAKING = (Status.WAITING, Status.MAKING)
KEEP = timedelta(days=7)
LOST = timedelta(minutes=15)  # without a word from the worker that makes it
GIVEN_UP = {"status": Status.FAILED, "error": "Its worker was lost. Ask for it again."}
CHUNK = 1024**2


def export_data(*, user: User) -> DataArchive:
    """An archive that a worker makes from now on, or the one that is being made already. The person is told when it is ready; it can
    be downloaded for a week or until the next one is ready. Refuses nothing."""
    silent_archives().filter(owner=user, status__in=IN_MAKING).update(**GIVEN_UP)
    try:
        with transaction.atomic():
            archive = DataArchive.objects.create(owner=user, total=count(user))
            make_archive.delay_on_commit(archive.pk)
    except IntegrityError:
        return DataArchive.objects.get(owner=user, status__in=IN_MAKING)
    audit.record("export data", actor=user, target=user)
    return archive


def silent_archives() -> QuerySet[DataArchive]:
    """Those that nobody has touched for so long that, unless they have ended, nobody is at them."""
    return DataArchive.objects.filter(touched_at__lt=timezone.now() - LOST)


@shared_task
def make_archive(pk: int) -> None:
    """The background half. A second delivery finds nothing to claim."""
    if not DataArchive.objects.filter(pk=pk, status=Status.WAITING).update(status=Status.MAKING, touched_at=timezone.now()):
        return
    archive = DataArchive.objects.select_related("owner").get(pk=pk)
    staged = archive.file.with_name(f".{pk}-part")
    try:
        archive.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(archive, staged)
        sha256, size = sha256_of(staged), staged.stat().st_size
        os.replace(staged, archive.file)
        store.publish(archive.file, beat=partial(_touch, archive))
    except (OSError, Unavailable) as error:
        logger.exception("Archive %s could not be made.", pk)
        staged.unlink(missing_ok=True)
        forget_archive(archive)
        words = f"It could not be written: {getattr(error, 'strerror', error)}. Ask an operator to look at the disk, then ask for it again."
        DataArchive.objects.filter(pk=pk, status=Status.MAKING).update(status=Status.FAILED, error=words[:300])
        return
    _ready(archive, sha256, size)


def _write(archive: DataArchive, staged: Path) -> None:
    """The zip, entry by entry; text packs to a fraction even at the quickest level."""
    opened = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(opened, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for entry in entries(archive.owner):
            if entry.begins:
                _count(archive)
            info = zipfile.ZipInfo(entry.name, timezone.now().timetuple()[:6])
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            with packed.open(info, "w", force_zip64=True) as target:
                _pour(entry, target)


def _count(archive: DataArchive) -> None:
    archive.done += 1
    _touch(archive)


def _touch(archive: DataArchive) -> None:
    """It is being made: reconcile_archives sees that somebody is at it."""
    DataArchive.objects.filter(pk=archive.pk, status=Status.MAKING).update(done=archive.done, touched_at=timezone.now())


def _pour(entry: Entry, target: IO[bytes]) -> None:
    if entry.path is None:
        for chunk in entry.chunks:
            target.write(chunk)
        return
    try:
        with open(entry.path, "rb") as source:
            shutil.copyfileobj(source, target, CHUNK)
    except FileNotFoundError:  # deleted meanwhile: the entry stays empty
        logger.info("%s is gone.", entry.path)


def forget_archive(archive: DataArchive) -> None:
    """Its file goes, here and from the bucket."""
    archive.file.unlink(missing_ok=True)
    store.forget(archive.file)


def _ready(archive: DataArchive, sha256: str, size: int) -> None:
    """Told once, and the ones before it go."""
    now = timezone.now()
    values = {"status": Status.READY, "sha256": sha256, "bytes": size, "ready_at": now, "expires_at": now + KEEP}
    if not DataArchive.objects.filter(pk=archive.pk, status=Status.MAKING).update(**values):
        forget_archive(archive)
        return
    for older in DataArchive.objects.filter(owner=archive.owner).exclude(pk=archive.pk).exclude(status__in=IN_MAKING):
        forget_archive(older)
        older.delete()
    text = f"Download it by {values['expires_at']:%d %B}; it is removed then."
    kind = Notification.Kind.ARCHIVE_READY
    notify(user=archive.owner, kind=kind, title="The archive of your data is ready", text=text, path="/settings/data")
