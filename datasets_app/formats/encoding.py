"""Which encoding a text file has, and any of them as a stream of UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO

UTF8 = "utf-8"
SAMPLE = 256 * 1024
LOOKED_AT = 16 * 1024**2  # so far we look for the first letter that is not ASCII
CHUNK = 256 * 1024
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NAMES = {"cp1252": "Windows-1252", "cp1251": "Windows-1251", "cp1250": "Windows-1250", "utf-16": "UTF-16", "utf-32": "UTF-32",
         "utf_16_le": "UTF-16", "utf_16_be": "UTF-16", "gb18030": "GB 18030", "shift_jis": "Shift JIS", "big5": "Big5",
         "euc_kr": "EUC-KR", "cp949": "EUC-KR", "latin_1": "ISO 8859-1"}  # fmt: skip
LIKELY = ("cp1252", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "shift_jis", "euc_jp", "gb18030", "big5", "cp949")
_HIGH = re.compile(rb"[\x80-\xff]")
_ACCENT = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]|[\x80-\xff](?=[A-Za-z])")
_MULTIBYTE = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def encoding_of(stream: BinaryIO) -> str:
    """The encoding of the text in a stream that stands at its beginning. UTF-8 wherever that is possible: a few wrong bytes
    are reported by line, a file full of them is in another encoding."""
    head = stream.read(SAMPLE)
    for mark, name in MARKS:
        if head.startswith(mark) and (name == UTF8 or 0 in head[:4096]):  # JSON and CSV have ASCII in them: every second byte is 0
            return name
    if (wide := _wide(head[:4096])) is not None:
        return wide
    seen = len(head)
    while head.isascii() and seen < LOOKED_AT and (more := stream.read(CHUNK)):
        head, seen = more, seen + len(more)
    return UTF8 if head.isascii() or _is_utf8(head) else _guess(head)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of plain text is 0."""
    even, odd = head[::2], head[1::2]
    if len(head) >= 8 and odd.count(0) > 0.4 * len(odd) and even.count(0) < 0.05 * len(even):
        return "utf_16_le"
    if len(head) >= 8 and even.count(0) > 0.4 * len(even) and odd.count(0) < 0.05 * len(odd):
        return "utf_16_be"
    return None


def _is_utf8(sample: bytes) -> bool:
    decoder = codecs.getincrementaldecoder(UTF8)()
    try:
        decoder.decode(sample)
        return True
    except UnicodeDecodeError:
        broken = sample.decode(UTF8, "replace").count("\ufffd")
        return len(_MULTIBYTE.findall(sample)) >= broken


def _guess(sample: bytes) -> str:
    """What charset-normalizer thinks of many letters; letters here and there in Latin words are Windows-1252, the usual case.
    Where neither is likely the file stays UTF-8, and its wrong bytes are problems of their lines."""
    from charset_normalizer import from_bytes

    high = _HIGH.findall(sample[:CHUNK])
    if len(high) >= 12 and len(set(high)) >= 5:
        lines = b"\n".join(line for line in sample.splitlines() if not line.isascii())
        found = from_bytes(lines[: 32 * 1024], cp_isolation=list(LIKELY)).best()
        if found is not None and found.encoding != "cp1252" and _decodes(sample, found.encoding) and not _is_latin(sample, high):
            return found.encoding
    return "cp1252" if _is_latin(sample, high) and _decodes(sample, "cp1252") else UTF8


def _is_latin(sample: bytes, high: list[bytes]) -> bool:
    """Accents: at least four, most of them next to an ASCII letter."""
    return len(high) >= 4 and len(_ACCENT.findall(sample[:CHUNK])) * 2 >= len(high)


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def name_of(encoding: str) -> str:
    return NAMES.get(encoding, encoding.replace("_", "-").upper())


class FromTheStart(io.RawIOBase):
    """A stream that can only be made forwards: a seek begins anew, and reads on a few bytes."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def rewind(self) -> None:
        raise NotImplementedError

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only to the beginning or a few bytes after it."""
        self.rewind()
        return len(self.read(offset)) if offset else 0


class AsUtf8(FromTheStart):
    """Another encoding, read as UTF-8. What can't be decoded becomes U+FFFD."""

    def __init__(self, inner: BinaryIO, encoding: str):
        self.inner = inner
        self.encoding = encoding
        self.rewind()

    def rewind(self) -> None:
        self.inner.seek(0)
        self.decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        self.left = b""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.left:
            data = self.inner.read(CHUNK)
            self.left = self.decoder.decode(data, final=not data).encode(UTF8, "replace")
            if not data:
                break
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size
