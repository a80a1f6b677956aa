"""The data disk can be written and has room; secrets are nobody else's to read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max

from datasets_app.models import Dataset
from finetune.core.templatetags.ui import size
from finetune.operations.checks import database
from finetune.operations.findings import BAD, OK, WARN, Finding
from finetune.operations.services.back_up import keys_are_given
from finetune.operations.swap import REPLACED
from models_app.models import LanguageModel

NAME = "files"
LEAST_FREE = 2 * 1000**3
TIMES = 3  # a full run writes about three times its model: weights, optimizer, and the next checkpoint beside the last


def examine() -> Iterator[Finding]:
    yield _writable()
    yield _room()
    yield _secrets()
    yield _folder()
    if left := sorted(settings.DATA_DIR.glob(f"{REPLACED}*")):
        text = f"A restore was cut off: {', '.join(path.name for path in left)} is what was there before."
        yield Finding(NAME, BAD, text, "Move each back to its place (the name after the last dash), or delete it if all is well.")


def _writable() -> Finding:
    try:
        with tempfile.NamedTemporaryFile(dir=settings.DATA_DIR, prefix=".doctor-") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return Finding(NAME, BAD, f"{settings.DATA_DIR} can't be written: {error}", "Look at the disk, its mount and its owner.")
    return Finding(NAME, OK, f"{settings.DATA_DIR} can be written.")


def _room() -> Finding:
    free, largest = shutil.disk_usage(settings.DATA_DIR).free, _largest()
    wanted = max(LEAST_FREE, TIMES * largest)
    said = f"{size(free)} are free in {settings.DATA_DIR}"
    remedy = "Set RETAIN_CHECKPOINT_DAYS and run `manage.py prune`, delete old models and datasets, or enlarge the disk."
    if free < max(LEAST_FREE // 4, largest):
        return Finding(NAME, BAD, f"{said}: the next run may not be able to write.", remedy)
    if free < wanted:
        return Finding(NAME, WARN, f"{said}; a run on the largest thing here ({size(largest)}) may need {size(wanted)}.", remedy)
    return Finding(NAME, OK, f"{said}.")


def _largest() -> int:
    """Bytes of the largest model or dataset; 0 while the database can't be asked."""
    if database.unreachable():
        return 0
    try:
        return max(model.objects.aggregate(most=Max("bytes"))["most"] or 0 for model in (Dataset, LanguageModel))
    except DatabaseError:  # it has no tables yet
        return 0


def _secrets() -> Finding:
    file = settings.DATA_DIR / "secrets.json"
    if keys_are_given() and not file.exists():
        return Finding(NAME, OK, "The keys come from the environment.")
    if not file.exists():
        return Finding(NAME, BAD, f"{file} is missing.", "Restore it from a backup: without it stored tokens can't be read.")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return Finding(NAME, BAD, f"Others can read {file} (mode {mode:04o}).", f"chmod 600 {file}; then rotate the keys.")
    return Finding(NAME, OK, f"{file} is its owner's only.")


def _folder() -> Finding:
    folder = settings.DATA_DIR
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        return Finding(
            NAME, WARN, f"Others can look into {folder} (mode {mode:04o}).", f"chmod 700 {folder}, if nobody else needs it."
        )
    return Finding(NAME, OK, f"{folder} is its owner's only.")
