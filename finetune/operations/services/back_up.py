"""One archive of everything that can't be made again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from finetune.core.errors import Conflict, invalid_field
from finetune.operations import archive, databases
from models_app.models import LanguageModel

FOLDERS = ("blobs", "datasets", "models", "runs")
SECRETS = "secrets.json"


@dataclass(frozen=True)
class Backup:
    """Where it lies, how many files and bytes went in, and what an operator must know about it."""

    path: Path
    files: int
    bytes: int
    notes: list[str]


def back_up(*, target: Path) -> Backup:
    """Write database, datasets, models and runs into one archive (.tar.gz or .tar.zst; a directory gets a name of ours).

    The installation may run meanwhile: the database is copied first, and files are never older than its rows. Caches, logs,
    sockets and uploads in progress stay out. Refuses to replace a file (Conflict), another kind of name (Invalid), a database or
    a program that is not there (Unavailable). A backup that fails leaves nothing.
    """
    target = _named(target)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as scratch, archive.writing(target) as writer:
        copy = Path(scratch) / databases.FILES[databases.kind()]
        databases.dump(copy)
        writer.add(copy.name, copy)
        if not keys_are_given():
            writer.add(SECRETS, settings.DATA_DIR / SECRETS)
        for path in _files():
            writer.add(f"files/{path.relative_to(settings.DATA_DIR).as_posix()}", path)
        facts = {"made_at": timezone.now().isoformat(), "database": databases.kind(), "keys": _keys(), "migrations": applied()}
        writer.finish(**facts)
    sizes = [member.get("bytes", 0) for member in writer.members.values()]
    return Backup(target, len(sizes), sum(sizes), _notes())


def _named(target: Path) -> Path:
    if target.is_dir():
        target = target / f"aifinetune-{timezone.now():%Y%m%d-%H%M%S}.tar.zst"
    if not target.name.endswith(archive.SUFFIXES):
        raise invalid_field("target", f"Name a directory, or a file that ends in {' or '.join(archive.SUFFIXES)}.")
    if target.exists():
        raise Conflict(f"{target} exists. A backup never replaces another one: choose a new name.")
    if not target.parent.is_dir():
        raise invalid_field("target", f"There is no directory {target.parent}.")
    return target.resolve()


def _files() -> Iterator[Path]:
    """Whole files only: names that begin with a dot are still being written, or being deleted."""
    for name in FOLDERS:
        for folder, folders, files in os.walk(settings.DATA_DIR / name):
            folders[:] = sorted(item for item in folders if not item.startswith("."))
            yield from (Path(folder) / item for item in sorted(files) if not item.startswith("."))


def applied() -> list[str]:
    """The migrations of this database, as app.name."""
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


def keys_are_given() -> bool:
    """Whether both keys come from the environment, so that secrets.json says nothing."""
    return all(os.environ.get(name, "").strip() for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS"))


def _keys() -> str:
    return "environment" if keys_are_given() else "file"


def _notes() -> list[str]:
    if keys_are_given():
        notes = ["SECRET_KEY and FIELD_ENCRYPTION_KEYS come from the environment and are not inside: keep them too, elsewhere."]
    else:
        notes = ["The keys of this installation (secrets.json) are inside: who reads the archive can read every stored token."]
    if outside := LanguageModel.objects.filter(path__startswith="/").count():
        notes.append(f"{outside} base models lie in the Hub cache and are not inside; they can be downloaded again.")
    return notes
