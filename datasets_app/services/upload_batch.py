"""Take several files in; one bad file never spoils the others."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.uploads import Upload
from finetune.core.errors import DomainError, invalid_field

MAX_MEMBERS = 1000
CHUNK = 1024**2
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)  # the last two: encrypted, unknown method


@dataclass(frozen=True)
class Uploaded:
    """What became of one file: a dataset, or the refusal."""

    filename: str
    dataset: Dataset | None = None
    error: DomainError | None = None


class _Member:
    """A file inside a ZIP archive, read as a stream."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo):
        self.archive = archive
        self.info = info
        self.name = PurePosixPath(info.filename).name

    def chunks(self) -> Iterator[bytes]:
        try:
            with self.archive.open(self.info) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except DAMAGED as error:
            raise invalid_field("file", f"This file inside the archive can't be read: {error}.") from None


def upload_batch(
    *, owner: User, files: Iterable[Upload], description: str = "", mapping: str | dict[str, Any] | None = None
) -> list[Uploaded]:
    """One outcome for each file, in order; a .zip counts as the files in it. Refuses only an empty list."""
    outcomes: list[Uploaded] = []
    for file in files:
        if (file.name or "").lower().endswith(".zip"):
            outcomes += _unpacked(owner, file, description, mapping)
        else:
            outcomes.append(_one(owner, file, file.name or "", description, mapping))
    if not outcomes:
        raise invalid_field("files", "Choose at least one file.")
    return outcomes


def _one(owner: User, file: Upload, filename: str, description: str, mapping: str | dict[str, Any] | None) -> Uploaded:
    try:
        return Uploaded(filename, upload_dataset(owner=owner, file=file, description=description, mapping=mapping))
    except DomainError as error:
        return Uploaded(filename, error=error)


def _unpacked(owner: User, file: Upload, description: str, mapping: str | dict[str, Any] | None) -> list[Uploaded]:
    """The files of an archive. Names inside it are only shown: nothing is extracted to a path."""
    name = file.name or ""
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, file))
    except DAMAGED:
        return [Uploaded(name, error=invalid_field("file", "This is not a whole ZIP archive."))]
    with archive:
        members = [info for info in archive.infolist() if _counts(info)]
        if not members or len(members) > MAX_MEMBERS:
            words = f"The archive has {len(members):,} files; 1 to {MAX_MEMBERS:,} are taken."
            return [Uploaded(name, error=invalid_field("file", words))]
        return [_one(owner, _Member(archive, info), info.filename, description, mapping) for info in members]


def _counts(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    return not info.is_dir() and not path.name.startswith(".") and "__MACOSX" not in path.parts
