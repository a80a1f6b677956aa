"""Plain text → rows: each line a document, or the whole file one document."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_app.formats.jsonrows import Row, excerpt, too_long
from datasets_app.formats.problems import Problem
from datasets_app.formats.source import MAX_ROW_BYTES, Source, is_blank

DOCUMENTS = ("line", "paragraph", "file")


def read_text(source: Source, document: str = "line") -> Iterator[Row | Problem]:
    """{"text": …} for each line, each run of lines between blank ones, or the file. Blank documents are passed over."""
    source.first()
    if document == "line":
        for number, line in source.lines():
            if line is None:
                yield too_long(number)
            elif not is_blank(line):
                yield _document(line.rstrip(b"\r\n"), number)
        return
    yield from _gathered(source, whole=document == "file")


def _gathered(source: Source, *, whole: bool) -> Iterator[Row | Problem]:
    begun, size = 1, 0
    parts: list[bytes] = []
    for number, line in source.lines():
        if not whole and line is not None and is_blank(line):
            if size:
                yield _whole(parts, size, begun)
            parts, size = [], 0
            continue
        begun = begun if size else number
        size += MAX_ROW_BYTES + 1 if line is None else len(line)
        if size > MAX_ROW_BYTES:
            parts.clear()
        elif line is not None:
            parts.append(line)
    if size:
        yield _whole(parts, size, begun)


def _whole(parts: list[bytes], size: int, line: int) -> Row | Problem:
    return too_long(line) if size > MAX_ROW_BYTES else _document(b"".join(parts).strip(b"\r\n"), line)


def _document(raw: bytes, line: int) -> Row | Problem:
    try:
        return Row(line, {"text": raw.decode()})
    except UnicodeDecodeError as error:
        words = f"Byte {error.start + 1} (0x{raw[error.start]:02X}) is not UTF-8. Save the file as UTF-8."
        return Problem("not_utf8", words, line=line, excerpt=excerpt(raw))
