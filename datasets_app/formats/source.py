"""An uploaded file, open for one pass in bounded memory."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, Self

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".jsonl.gz", ".ndjson.gz", ".json.gz", ".csv.gz", ".tsv.gz")
MAX_ROW_BYTES = 16 * 1024**2  # about four million tokens: no row that long is meant
HEAD_BYTES = 64 * 1024
BOM = b"\xef\xbb\xbf"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
# What files of other kinds begin with.
MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "gzip-compressed (its name should end in .gz)",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}


class Unreadable(ValueError):
    """This can't be a dataset file; the text says why."""


def suffix_of(filename: str) -> str:
    """The known ending of a file name, lower case (".jsonl.gz"); raises Unreadable for any other."""
    name = PurePath(filename).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    ending = "".join(PurePath(name).suffixes[-1:]) or "no ending"
    raise Unreadable(f"Files with {ending} can't be read. Use .jsonl, .json, .csv or .tsv, also compressed as .gz.")


def check_head(path: Path, suffix: str) -> None:
    """Look at the beginning of a file; raises Unreadable when it is empty or not text at all."""
    try:
        with _opened(path, suffix) as stream:
            head = stream.read(HEAD_BYTES)
    except DAMAGED:
        raise Unreadable("The file is named .gz but is not a whole gzip file.") from None
    if not head:
        raise Unreadable("The file is empty (0 bytes).")
    for magic, words in MAGIC.items():
        if head.startswith(magic):
            raise Unreadable(f"The file is {words}, not {suffix}.")
    if (at := head.find(b"\x00")) >= 0:
        raise Unreadable(f"The file is not text: there is a NUL byte at position {at}.")
    text = head.decode("utf-8", "replace")
    if text.count("\ufffd") * 10 > len(text):  # a few wrong bytes are reported by line; this many mean that it is no text
        raise Unreadable("The file is not UTF-8 text.")


def _opened(path: Path, suffix: str) -> BinaryIO:
    return gzip.open(path, "rb") if suffix.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


class Source:
    """A file open for reading. `position` of `total` bytes (as stored) are behind us."""

    def __init__(self, path: Path, suffix: str = ""):
        self.suffix = suffix or suffix_of(path.name)
        self.kind = self.suffix.removesuffix(".gz").lstrip(".")
        self.total = path.stat().st_size
        self._raw = path.open("rb")
        self.stream: BinaryIO = gzip.GzipFile(fileobj=self._raw) if self.suffix.endswith(".gz") else self._raw  # type: ignore[assignment]
        self.start = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raw.close()

    @property
    def position(self) -> int:
        return self._raw.tell()

    def first(self, size: int = HEAD_BYTES) -> bytes:
        """The beginning of the text, without a byte-order mark; leaves the position after the mark."""
        self.stream.seek(0)
        head = self.stream.read(size)
        self.start = len(BOM) if head.startswith(BOM) else 0
        self.stream.seek(self.start)
        return head[self.start :]

    def lines(self, limit: int = MAX_ROW_BYTES) -> Iterator[tuple[int, bytes | None]]:
        """(1-based number, bytes with their line ending); None in place of a line longer than `limit`, which is skipped."""
        number, stream = 0, self.stream
        while line := stream.readline(limit + 1):
            number += 1
            if len(line) <= limit:
                yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            yield number, None


_NOT_BLANK = re.compile(rb"\S")


def is_blank(line: bytes) -> bool:
    return _NOT_BLANK.search(line) is None
