"""The bucket that machines share answers, keeps what it is given, and has what the rows say; nothing to look at without one."""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from finetune.core import bucket, store, store_care
from finetune.core.errors import Unavailable
from finetune.operations.findings import BAD, OK, WARN, Finding

NAME = "store"
REMEDY = "Look at STORAGE_URL, the AWS_… variables of this process, and the bucket's rights: it must list, read, write and delete."


def examine() -> Iterator[Finding]:
    if not store.is_shared():
        return
    try:
        _try_it()
        missing, unclaimed = store_care.compare()
    except Unavailable as trouble:
        yield Finding(NAME, BAD, f"{settings.STORAGE_URL}: {trouble.message}", REMEDY)
        return
    yield Finding(NAME, OK, f"{settings.STORAGE_URL} can be listed, read, written and deleted from.")
    if missing:
        text = f"{len(missing)} objects are missing in {settings.STORAGE_URL}: {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}."
        yield Finding(
            NAME,
            BAD,
            text,
            "Bring them back from the bucket's versions; or run `manage.py share_files` on a machine that has the files.",
        )
    if unclaimed:
        text = f"{len(unclaimed)} objects in {settings.STORAGE_URL} belong to no row."
        yield Finding(NAME, WARN, text, "Nothing, if no restore has just lost their rows: the nightly sweep removes them.")


def _try_it() -> None:
    """Write an object, read it, delete it."""
    name, said = f"probe/{uuid.uuid4().hex}", b"doctor"
    bucket.put(name, io.BytesIO(said))
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=settings.DATA_DIR) as folder:
        bucket.get(name, Path(folder) / "probe")
        if (Path(folder) / "probe").read_bytes() != said:
            raise Unavailable("It gave back other bytes than it was given.")
    bucket.delete([name])
