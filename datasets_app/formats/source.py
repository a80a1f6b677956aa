"""An uploaded file, open for one pass in bounded memory: what it is, how it is packed and encoded, and its lines."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, Self

from datasets_app.formats.encoding import UTF8, AsUtf8, FromTheStart, encoding_of

KINDS = ("jsonl", "ndjson", "json", "csv", "tsv", "txt", "md", "parquet")
PACKED = ("gz", "zst")
SUFFIXES = tuple(f".{kind}" for kind in KINDS) + tuple(f".{kind}.{packed}" for kind in KINDS for packed in PACKED)
MAX_ROW_BYTES = 16 * 1024**2  # about four million tokens: no row that long is meant
HEAD_BYTES = 64 * 1024
BOM = b"\xef\xbb\xbf"
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".numbers")
SAVE_AS_CSV = "Open it, save the sheet with the rows as CSV (UTF-8), with the column names in the first line, and upload that file."
# What files of other kinds begin with.
MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Office document (save a spreadsheet as CSV)",
    b"\xd0\xcf\x11\xe0": "an old Office document (save a spreadsheet as CSV)",
    b"\x1f\x8b": "gzip-compressed (its name should end in .gz)",
    b"PAR1": "a Parquet file (its name should end in .parquet)",
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed (its name should end in .zst)",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file; save it as Parquet",
}


class Unreadable(ValueError):
    """This can't be a dataset file; the text says why."""


class Damaged(EOFError):
    """The compressed data ends early or is broken."""


DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


def suffix_of(filename: str) -> str:
    """The known ending of a file name, lower case (".jsonl.gz"); raises Unreadable for any other."""
    name = PurePath(filename).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    ending = "".join(PurePath(name).suffixes[-1:]) or "no ending"
    if ending in SPREADSHEETS:
        raise Unreadable(f"A spreadsheet ({ending}) can't be read. {SAVE_AS_CSV}")
    raise Unreadable(
        f"Files with {ending} can't be read. Use .jsonl, .json, .csv, .tsv, .parquet or .txt, also compressed as .gz or .zst."
    )


def check_head(path: Path, suffix: str) -> None:
    """Look at the beginning of a file; raises Unreadable when it is empty or not what its name says."""
    try:
        with Source(path, suffix) as source:
            raw = source.raw_head()
            head = source.first()
    except DAMAGED:
        ending, words = (".zst", "Zstandard") if suffix.endswith(".zst") else (".gz", "gzip")
        raise Unreadable(f"The file is named {ending} but is not a whole {words} file.") from None
    if not raw:
        raise Unreadable("The file is empty (0 bytes).")
    if source.kind == "parquet":
        _check_parquet(path, suffix, raw)
    else:
        _check_text(raw, head, suffix)


def _check_parquet(path: Path, suffix: str, head: bytes) -> None:
    if not head.startswith(b"PAR1"):
        raise Unreadable("The file is named .parquet but does not begin like one.")
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            raise Unreadable("The Parquet file is not whole: its end can't be read.") from None


def _check_text(raw: bytes, head: bytes, suffix: str) -> None:
    for magic, words in MAGIC.items():
        if raw.startswith(magic):
            raise Unreadable(f"The file is {words}, not {suffix}.")
    if (at := head.find(b"\x00")) >= 0:
        raise Unreadable(f"The file is not text: there is a NUL byte at position {at}.")
    text = head.decode("utf-8", "replace")
    strange = text.count("\ufffd") + sum(head.count(byte) for byte in _CONTROL)
    if strange * 10 > len(text):  # a few wrong bytes are reported by line; this many mean that it is no text
        raise Unreadable("The file is not text in UTF-8 or another encoding we know.")


_CONTROL = [bytes([code]) for code in range(32) if code not in (9, 10, 12, 13, 27)]


class Source:
    """A file open for reading. `position` of `total` bytes (as stored) are behind us; `stream` gives UTF-8."""

    def __init__(self, path: Path, suffix: str = "", *, raw: BinaryIO | None = None, total: int | None = None):
        self.path = path
        self.suffix = suffix or suffix_of(path.name)
        self.kind = self.suffix.split(".")[1]
        self.total = path.stat().st_size if total is None else total
        self._raw = raw or path.open("rb")
        self.start = 0
        self.head = b""  # the beginning, once somebody has looked at it
        self.passed: int | None = None  # told by a reader that jumps about in the file
        self.encoding = UTF8 if self.kind == "parquet" else self._find_encoding()
        self.stream = self._unpacked()
        if self.encoding != UTF8:
            self.stream = io.BufferedReader(AsUtf8(self.stream, self.encoding), 1024**2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raw.close()

    def _unpacked(self) -> BinaryIO:
        self._raw.seek(0)
        if self.suffix.endswith(".gz"):
            return gzip.GzipFile(fileobj=self._raw)  # type: ignore[return-value]
        return io.BufferedReader(_Zstandard(self._raw), 1024**2) if self.suffix.endswith(".zst") else self._raw

    def _find_encoding(self) -> str:
        try:
            return encoding_of(self._unpacked())
        except DAMAGED:
            return UTF8  # reading says what is wrong

    @property
    def position(self) -> int:
        return self._raw.tell() if self.passed is None else self.passed

    @property
    def raw(self) -> BinaryIO:
        """The file as it is stored, for readers that find their own way in it."""
        return self._raw

    def raw_head(self, size: int = HEAD_BYTES) -> bytes:
        """The beginning, unpacked and not decoded."""
        return self._unpacked().read(size)

    def first(self, size: int = HEAD_BYTES) -> bytes:
        """The beginning of the text, without a byte-order mark; leaves the position after the mark."""
        self.stream.seek(0)
        head = self.stream.read(size)
        self.start = len(BOM) if head.startswith(BOM) else 0
        self.stream.seek(self.start)
        self.head = head[self.start :]
        return self.head

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


class _Zstandard(FromTheStart):
    """A Zstandard file as a stream; Arrow does the work."""

    def __init__(self, raw: BinaryIO):
        self.raw = raw
        self.rewind()

    def rewind(self) -> None:
        import pyarrow as pa

        self.raw.seek(0)
        self.inner = pa.CompressedInputStream(pa.PythonFile(_Lent(self.raw), mode="r"), "zstd")

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self.inner.read(len(buffer))
        except OSError as error:
            raise Damaged(str(error)) from None
        buffer[: len(data)] = data
        return len(data)


class _Lent:
    """A file that who borrows it can't close: Arrow does when it lets go."""

    closed = False

    def __init__(self, raw: BinaryIO):
        self.read = raw.read

    def close(self) -> None:
        pass


_NOT_BLANK = re.compile(rb"\S")


def is_blank(line: bytes) -> bool:
    return _NOT_BLANK.search(line) is None
