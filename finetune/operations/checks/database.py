"""The database answers, has this release's tables, and is set up as the product needs it."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from finetune.operations.findings import BAD, OK, Finding

NAME = "database"
OLDEST_POSTGRESQL = 140000  # Django 5.2's
CONNECT_SECONDS = 3


def examine() -> Iterator[Finding]:
    if trouble := unreachable():
        remedy = (
            "Start PostgreSQL and look at DATABASE_URL." if connection.vendor == "postgresql" else "Look at the file and its disk."
        )
        yield Finding(NAME, BAD, f"The database does not answer: {trouble}", remedy)
        return
    yield from (_sqlite() if connection.vendor == "sqlite" else _postgresql())
    yield from _migrations()


def unreachable() -> str:
    """Why nothing can be asked of the database; empty when it answers. Waits 3 s, not as long as the pool would."""
    try:
        if connection.vendor == "postgresql":
            _knock()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 - whatever the driver raises, it is the finding
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""


def _knock() -> None:
    import psycopg

    values = connection.settings_dict
    address = {"host": values["HOST"], "port": values["PORT"], "user": values["USER"], "dbname": values["NAME"]}
    given = {name: value for name, value in address.items() if value}
    psycopg.connect(**given, password=values["PASSWORD"] or None, connect_timeout=CONNECT_SECONDS).close()


def _sqlite() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        found = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "busy_timeout", "foreign_keys")}
        intact = cursor.execute("PRAGMA quick_check(1)").fetchone()[0]
    name = connection.settings_dict["NAME"]
    if intact != "ok":
        yield Finding(NAME, BAD, f"The database file is damaged: {intact}", "Stop everything and restore the newest backup.")
    if found["journal_mode"] != "wal" or found["busy_timeout"] < 5000 or not found["foreign_keys"]:
        text = f"SQLite is not set up as a server needs it: {found}"
        yield Finding(NAME, BAD, text, f"Keep {name} on a local disk: network file systems can't do WAL.")
    else:
        yield Finding(NAME, OK, f"SQLite at {name} answers (WAL).")


def _postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        words = cursor.fetchone()[0]
    version = connection.pg_version  # type: ignore[attr-defined]
    if version < OLDEST_POSTGRESQL:
        yield Finding(NAME, BAD, f"PostgreSQL {words} is too old.", "Use PostgreSQL 14 or newer.")
    else:
        yield Finding(NAME, OK, f"PostgreSQL {words} answers.")


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    known = set(executor.loader.disk_migrations)
    newer = sorted(".".join(key) for key in executor.loader.applied_migrations if key not in known)
    if missing:
        names = ", ".join(f"{step.app_label}.{step.name}" for step, _ in missing[:3])
        text = f"{len(missing)} migrations are not applied: {names}{' …' if len(missing) > 3 else ''}."
        yield Finding(NAME, BAD, text, "Run `manage.py migrate` (after a backup).")
    elif [name for name in newer if name.split(".")[0] in {app.rpartition(".")[2] for app in settings.INSTALLED_APPS}]:
        text = f"The database is of a newer release: it has {newer[-1]}."
        yield Finding(NAME, BAD, text, "Install that release again, or restore the backup made before the upgrade.")
    else:
        yield Finding(NAME, OK, "All migrations are applied.")
