"""Several files that are one data set, kept in one uncompressed ZIP and read one after the other as if they were one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from datasets_app.formats.jsonrows import Row
from datasets_app.formats.problems import Problem
from datasets_app.formats.readers import read_rows
from datasets_app.formats.source import Source, Unreadable, suffix_of

SUFFIX = ".zip"
LOCAL_HEADER = 30


def write_bundle(target: Path, files: Iterable[tuple[str, Path]]) -> None:
    """(name, file) pairs → a ZIP whose bytes depend on nothing else."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            info = zipfile.ZipInfo(name)  # dated 1980, so that the same files give the same bytes
            info.file_size = path.stat().st_size
            with archive.open(info, "w", force_zip64=True) as target_file, path.open("rb") as file:
                while chunk := file.read(1024**2):
                    target_file.write(chunk)


class Bundle:
    """Such a ZIP, open for one pass. Lines are counted on from file to file."""

    def __init__(self, path: Path):
        self.path = path
        self.total = path.stat().st_size
        self._before = 0
        self._part: Source | None = None
        with zipfile.ZipFile(path) as archive:
            self.members = archive.infolist()
        self.kind = suffix_of(self.members[0].filename).split(".")[1]
        self.encoding = "utf-8"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    @property
    def position(self) -> int:
        return self._before + (self._part.position if self._part else 0)

    def rows(self, document: str) -> Iterator[Row | Problem]:
        """Every row of every file in order."""
        lines = 0
        for member in self.members:
            last = lines
            self._part = _opened(self.path, member)
            for item in read_rows(self._part, document=document):
                last = lines + (item.line or 0)
                if isinstance(item, Row):
                    yield Row(last, item.data)
                else:
                    yield Problem(
                        item.rule,
                        f"{item.message} (in {member.filename})",
                        last or None,
                        None,
                        item.column,
                        item.path,
                        item.excerpt,
                    )
            lines = last
            self._close()
            self._before += member.file_size

    def _close(self) -> None:
        if self._part:
            self._part.__exit__(None, None, None)
            self._part = None


def open_source(path: Path) -> Source | Bundle:
    """The stored original, whichever of the two it is."""
    return Bundle(path) if path.suffix == SUFFIX else Source(path)


def rows_of(source: Source | Bundle, document: str = "line") -> Iterator[Row | Problem]:
    return source.rows(document) if isinstance(source, Bundle) else read_rows(source, document=document)


def stored_suffix(filename: str) -> str:
    """How the stored original is named: like the file, or as the bundle of several."""
    try:
        return suffix_of(filename)
    except Unreadable:
        if PurePosixPath(filename.lower()).suffix == SUFFIX:
            return SUFFIX
        raise


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, path: Path, start: int, size: int):
        self.file = path.open("rb")
        self.start, self.size = start, size
        self.file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell() - self.start

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self.tell(), 2: self.size}[whence]
        return self.file.seek(self.start + max(0, min(self.size, base + offset))) - self.start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.file.read(min(len(buffer), self.size - self.tell()))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def _opened(path: Path, member: zipfile.ZipInfo) -> Source:
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(LOCAL_HEADER)
    start = member.header_offset + LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    raw = io.BufferedReader(_Window(path, start, member.file_size), 1024**2)
    return Source(path, suffix_of(member.filename), raw=raw, total=member.file_size)
