"""Receiving a file: streamed to DATA_DIR, counted and hashed on the way, gone again unless it is kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from finetune.core.errors import TooLarge


class Upload(Protocol):
    """What Django's uploaded files, ContentFile and File all are."""

    @property
    def name(self) -> str | None: ...

    def chunks(self) -> Iterable[bytes]: ...


@dataclass(frozen=True)
class Received:
    """A whole upload on disk, under a name of ours."""

    path: Path
    bytes: int
    sha256: str


@contextmanager
def received(file: Upload) -> Iterator[Received]:
    """The upload as a file that may be moved away; whatever is still there at the end is deleted.

    A file that Django has already written to disk is used as it is. Raises TooLarge as soon as the limit is passed.
    """
    written = getattr(file, "temporary_file_path", None)
    path = Path(written()) if written else _new_file()
    try:
        with path.open("rb" if written else "wb") as target:
            size, digest = 0, hashlib.sha256()
            for chunk in file.chunks():
                size += len(chunk)
                if size > settings.MAX_UPLOAD_BYTES:
                    raise TooLarge(f"The file is larger than the limit of {settings.MAX_UPLOAD_BYTES / 1000**2:,.0f} MB.")
                digest.update(chunk)
                if not written:
                    target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        path.chmod(0o644)
        yield Received(path, size, digest.hexdigest())
    finally:
        path.unlink(missing_ok=True)


def _new_file() -> Path:
    descriptor, name = tempfile.mkstemp(dir=settings.FILE_UPLOAD_TEMP_DIR, prefix="dataset-")
    os.close(descriptor)
    return Path(name)
