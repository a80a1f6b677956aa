"""Put an installation back as a backup has it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.db.migrations.loader import MigrationLoader

from accounts.models import User
from finetune.core.errors import Conflict, Invalid
from finetune.operations import archive, databases
from finetune.operations.checks import broker, workers
from finetune.operations.services.back_up import FOLDERS, SECRETS
from finetune.operations.swap import swapped
from training.engine import process
from training.engine.rundir import started_in


@dataclass(frozen=True)
class Restored:
    """When the backup was made, how many files it had, and what to do next."""

    made_at: str
    files: int
    notes: list[str]


def restore_backup(*, source: Path, replace: bool = False) -> Restored:
    """Verify the whole archive beside the installation, then take its place; on any error the old one is as it was.

    Refuses (Conflict) while something of this DATA_DIR runs, and an installation that is not empty without `replace`; (Invalid)
    a damaged archive, one of a newer release, and one whose database is of the other kind.
    """
    _refuse_running()
    if not replace:
        _refuse_full()
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.DATA_DIR) as scratch:
        unpacked = Path(scratch)
        manifest = archive.unpack(source, unpacked)
        copy = _verified_database(manifest, unpacked)
        connections.close_all()
        with swapped(_places(unpacked, copy)):
            if databases.kind() == databases.POSTGRESQL:
                databases.load_postgresql(copy)
    return Restored(manifest["made_at"], len(manifest["members"]), _notes(manifest))


def _verified_database(manifest: dict[str, Any], unpacked: Path) -> Path:
    kind = databases.kind()
    if manifest["database"] != kind:
        word = "Set DATABASE_URL to such a server." if manifest["database"] == databases.POSTGRESQL else "Unset DATABASE_URL."
        raise Invalid(f"The backup holds a {manifest['database']} database, and this installation uses {kind}. {word}")
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if newer := sorted(set(manifest["migrations"]) - known):
        raise Invalid(f"The backup was made by a newer release (it has {newer[-1]}). Install that release, then restore.")
    copy = unpacked / databases.FILES[kind]
    databases.check(copy)
    if kind == databases.SQLITE:
        databases.free_leases(copy)
    return copy


def _places(unpacked: Path, copy: Path) -> list[tuple[Path | None, Path]]:
    """What comes → where it goes; None where something has to go and nothing comes."""
    places: list[tuple[Path | None, Path]] = [(unpacked / "files" / name, settings.DATA_DIR / name) for name in FOLDERS]
    if (unpacked / SECRETS).exists():
        places.append((unpacked / SECRETS, settings.DATA_DIR / SECRETS))
    if databases.kind() == databases.SQLITE:
        database = Path(connection.settings_dict["NAME"])
        places += [(None, database.with_name(f"{database.name}{end}")) for end in ("-wal", "-shm")]
        places.append((copy, database))
    return [(new if new and new.exists() else None, place) for new, place in places]


def _refuse_running() -> None:
    """The launcher holds a lock, workers answer, and engines, which outlive both, say who they are."""
    lock = settings.DATA_DIR / "run" / "launcher.lock"
    if lock.exists():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict("The installation runs. Stop it (Ctrl-C, or its services), then restore.") from None
    if not broker.unreachable() and (answering := workers.served()):
        names = sorted({name for those in answering.values() for name in those})
        raise Conflict(f"Workers still answer: {', '.join(names)}. Stop every process, then restore.")
    for run in started_in(settings.DATA_DIR):
        if process.is_alive(run.engine()):
            raise Conflict(f"The training run in {run.path} still works. Wait for its end, or stop process and worker.")


def _refuse_full() -> None:
    files = [name for name in FOLDERS if any((settings.DATA_DIR / name).glob("*"))]
    if files or _people():
        what = f"files in {', '.join(files)}" if files else "accounts"
        raise Conflict(f"This installation is not empty: it has {what}. Restore with --replace to lose what it has now.")


def _people() -> int:
    try:
        return User.objects.count()
    except DatabaseError:  # no tables yet
        return 0


def _notes(manifest: dict[str, Any]) -> list[str]:
    notes = ["Run `manage.py migrate`, start the processes, run `manage.py doctor`. Jobs that ran go on from their checkpoints."]
    if manifest["keys"] == "environment":
        notes.insert(0, "SECRET_KEY and FIELD_ENCRYPTION_KEYS are not in the backup: set those that were in use when it was made.")
    elif os.environ.get("FIELD_ENCRYPTION_KEYS"):
        notes.insert(0, "FIELD_ENCRYPTION_KEYS of the environment count, not those of the backup's secrets.json.")
    return notes
