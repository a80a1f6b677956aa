"""Downloads that go on where they stopped: one file, or several as one tar archive whose every byte is known before it is sent."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from finetune.core.downloads import stream_file

CHUNK = 1024**2
TAR_BLOCK = 512
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Piece:
    """So many bytes: of a file, or given."""

    size: int
    path: Path | None = None
    given: bytes = b""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        if self.path is None:
            yield self.given[start:stop]
            return
        with open(self.path, "rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(CHUNK, stop - start))):
                yield chunk
                start += len(chunk)


@dataclass(frozen=True)
class Content:
    """Pieces one after another, with a name for exactly these bytes (an ETag)."""

    pieces: list[Piece]
    tag: str

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`."""
        begin = 0
        for piece in self.pieces:
            first, last = max(start - begin, 0), min(stop - begin, piece.size)
            if first < last:
                yield from piece.read(first, last)
            begin += piece.size


def one_file(path: Path, tag: str) -> Content:
    return Content([Piece(path.stat().st_size, path)], tag)


def tar_archive(files: list[tuple[str, Path]], *, time: int, tag: str) -> Content:
    """An uncompressed tar of (name in the archive, file): the same files and `time` (Unix seconds) give the same bytes."""
    pieces = []
    for name, path in files:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = path.stat().st_size, time, 0o644
        header = entry.tobuf(tarfile.GNU_FORMAT)
        padding = -entry.size % TAR_BLOCK
        pieces += [Piece(len(header), given=header), Piece(entry.size, path), Piece(padding, given=bytes(padding))]
    end = bytes(2 * TAR_BLOCK)
    return Content([*pieces, Piece(len(end), given=end)], hashlib.sha256(f"tar {tag}".encode()).hexdigest())


def send(
    request: HttpRequest, content: Content, *, filename: str, content_type: str = "application/octet-stream"
) -> HttpResponseBase:
    """The whole content, or the part that a Range header asks for while its If-Range names this very content (RFC 9110, 14)."""
    tag = f'"{content.tag}"'
    wanted = _wanted(request, tag, content.size)
    if wanted is None:
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{content.size}"
        return response
    start, stop = wanted
    chunks = iter(()) if request.method == "HEAD" else content.read(start, stop)
    response = stream_file(request, chunks, filename=filename, content_type=content_type, size=stop - start)
    if (start, stop) != (0, content.size):
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    response["Accept-Ranges"], response["ETag"] = "bytes", tag
    return response


def _wanted(request: HttpRequest, tag: str, size: int) -> tuple[int, int] | None:
    """(first byte, byte behind the last); everything where no single range is asked for; None where the range lies outside."""
    found = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if not found or not any(found.groups()) or request.headers.get("If-Range", tag) != tag:
        return 0, size
    first, last = found.groups()
    start, stop = (int(first), min(int(last or size) + 1, size)) if first else (max(size - int(last), 0), size)
    return (start, stop) if start < stop else None
