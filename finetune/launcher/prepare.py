"""The launcher's only contact with Django, each step in a short process of its own.

facts     print what the launcher must know of the settings, as JSON
database  bring the tables up to date
static    collect the pages' static files, if any is newer than the last collection
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(*steps: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError

    known = {"facts": facts, "database": database, "static": static}
    try:
        for step in steps:
            known[step]()
    except (ImproperlyConfigured, OperationalError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def facts() -> None:
    from django.conf import settings

    from training.slots import slots

    own_broker = f"unix://{settings.VALKEY_SOCKET}" == settings.REDIS_URL
    values = {
        "data_dir": str(settings.DATA_DIR),
        "host": settings.HOST,
        "port": settings.PORT,
        "valkey_socket": str(settings.VALKEY_SOCKET) if own_broker else None,
        "train_slots": len(slots()),
    }
    print(json.dumps(values))


def database() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def static() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    if _newest_source() > _collected():
        call_command("collectstatic", interactive=False, verbosity=0)


def _newest_source() -> float:
    from django.contrib.staticfiles.finders import get_finders

    files = (storage.path(name) for finder in get_finders() for name, storage in finder.list([]))
    return max(Path(file).stat().st_mtime for file in files)


def _collected() -> float:
    from django.conf import settings

    manifest = settings.STATIC_ROOT / "staticfiles.json"
    return manifest.stat().st_mtime if manifest.exists() else 0.0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
