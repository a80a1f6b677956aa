"""ZIP archives that people upload: the files in them as streams. Nothing is extracted to a path an archive names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from django.conf import settings

from datasets_app.formats.peers import INDEX, INDEX_BYTES
from datasets_app.uploads import Upload
from finetune.core.errors import TooLarge, invalid_field

MAX_MEMBERS = 1000
CHUNK = 1024**2
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)  # the last two: encrypted, unknown method


class Member:
    """A file inside an archive, read as a stream."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo):
        self.archive = archive
        self.info = info
        self.path = info.filename
        self.name = PurePosixPath(info.filename).name
        self.too_much = False  # the archive's files are together more than one upload may be

    def chunks(self) -> Iterator[bytes]:
        if self.too_much:
            raise TooLarge(f"The archive's files are together larger than {settings.MAX_UPLOAD_BYTES / 1000**2:,.0f} MB.")
        try:
            with self.archive.open(self.info) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except DAMAGED as error:
            raise invalid_field("file", f"This file inside the archive can't be read: {error}.") from None


def is_archive(file: Upload) -> bool:
    return (file.name or "").lower().endswith(".zip")


@contextmanager
def opened_archive(file: Upload) -> Iterator[list[Member]]:
    """The files of an archive. Refuses what is no ZIP, an empty one and one with more than MAX_MEMBERS files (Invalid)."""
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, file))
    except DAMAGED:
        raise invalid_field("file", "This is not a whole ZIP archive.") from None
    with archive:
        members = [Member(archive, info) for info in archive.infolist() if _counts(info)]
        if not members or len(members) > MAX_MEMBERS:
            raise invalid_field("file", f"The archive has {len(members):,} files; 1 to {MAX_MEMBERS:,} are taken.")
        left = settings.MAX_UPLOAD_BYTES
        for member in members:
            member.too_much = member.info.file_size > left
            left -= 0 if member.too_much else member.info.file_size
        yield members


def _counts(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    return not info.is_dir() and not path.name.startswith(".") and "__MACOSX" not in path.parts


def is_index(file: Upload) -> bool:
    return PurePosixPath(file.name or "").name == INDEX


def content_of_index(file: Upload) -> bytes:
    """The bytes of a dataset_info.json; Invalid when it is larger than any such file is."""
    content = b""
    for chunk in file.chunks():
        content += chunk
        if len(content) > INDEX_BYTES:
            raise invalid_field("file", f"{INDEX} is larger than {INDEX_BYTES // 1024**2} MB.")
    return content
