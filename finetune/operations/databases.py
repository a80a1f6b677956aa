"""The database as one file: SQLite by its online backup, PostgreSQL by its own programs. Neither stops the installation."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection

from finetune.core.errors import Invalid, Unavailable

SQLITE, POSTGRESQL = "sqlite", "postgresql"
FILES = {SQLITE: "database.sqlite3", POSTGRESQL: "database.pgdump"}
# After a restore nobody follows the runs of the snapshot: without a holder, reconcile finds their jobs at once.
FREE_LEASES = "UPDATE training_trainingjob SET lease_owner = '', lease_expires_at = NULL WHERE status IN ('running', 'cancelling')"


def kind() -> str:
    """Which of the two this installation uses."""
    return SQLITE if connection.vendor == "sqlite" else POSTGRESQL


def dump(target: Path) -> None:
    """A consistent copy of the database as it is now, while others go on writing. Unavailable when it can't be had."""
    if kind() == POSTGRESQL:
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
        return
    address = f"{Path(connection.settings_dict['NAME']).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def check(copy: Path) -> None:
    """Invalid when the copy can't be read."""
    if copy.name == FILES[POSTGRESQL]:
        _run("pg_restore", "--list", str(copy), connect=False)
        return
    try:
        with closing(sqlite3.connect(copy)) as database:
            answer = database.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer != "ok":
        raise Invalid(f"The database in the backup is damaged: {answer}. Nothing was changed.")


def free_leases(copy: Path) -> None:
    """Let go of the running jobs in a SQLite copy."""
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute(FREE_LEASES)


def load_postgresql(copy: Path) -> None:
    """Replace everything in the database by the copy, in one transaction: on any error it is as it was."""
    script = copy.with_suffix(".sql")
    _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(copy), connect=False)
    fresh = [
        "-c",
        "DROP SCHEMA public CASCADE",
        "-c",
        "CREATE SCHEMA public",
        "-f",
        str(script),
        "-c",
        "SET search_path = public",
        "-c",
        FREE_LEASES,
    ]
    _run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, *fresh)


def _run(name: str, *arguments: str, connect: bool = True) -> None:
    command = [program(name), *arguments]
    environment = dict(os.environ)
    if connect:
        environment |= _address()
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Unavailable(f"{name} failed: {answer.stderr.strip()[-500:]}")


def program(name: str) -> str:
    """A PostgreSQL program: on PATH, or where Debian keeps its versions, the newest first. Unavailable when there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name) or next((str(path / name) for path in reversed(versions) if (path / name).exists()), None)
    if not found:
        raise Unavailable(
            f"{name} was not found. Install PostgreSQL's client programs (Debian: apt-get install postgresql-client)."
        )
    return found


def _address() -> dict[str, str]:
    """Where the database is, as variables: a password among a command's arguments could be read by everybody."""
    values: dict[str, Any] = connection.settings_dict
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    given = {variable: str(values[name]) for variable, name in names.items() if values[name]}
    return given | {"PGOPTIONS": "-c lock_timeout=10s", "PGCONNECT_TIMEOUT": "10"}
