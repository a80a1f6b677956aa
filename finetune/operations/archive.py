"""Backup archives: one tar, packed by gzip or zstd, whose last member is a manifest with the SHA-256 of every other one.

database.sqlite3 | database.pgdump     first, so that no file is older than the rows
secrets.json                           the installation's keys, unless they come from the environment
files/datasets/… files/models/… …      what lies under DATA_DIR; a file with several names is stored once
manifest.json                          {format, made_at, database, keys, migrations, members: {name: {bytes, sha256 | link}}}
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from finetune.core.errors import Invalid, invalid_field

FORMAT = 1
MANIFEST = "manifest.json"
SUFFIXES = (".tar.gz", ".tar.zst")
CHUNK = 1 << 20
BROKEN = (tarfile.TarError, EOFError, zlib.error, OSError, pa.ArrowException, ValueError, KeyError, TypeError)


class Writer:
    """Adds members to an open archive and remembers what went in."""

    def __init__(self, tar: tarfile.TarFile):
        self.tar = tar
        self.members: dict[str, dict[str, Any]] = {}
        self._names: dict[tuple[int, int], str] = {}

    def add(self, name: str, path: Path) -> None:
        """One file. What has gone meanwhile is left out; of one that grows, what was there when it was opened is taken."""
        with suppress(FileNotFoundError), path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                self._put(name, file, status)

    def _put(self, name: str, file: IO[bytes], status: os.stat_result) -> None:
        identity, member = (status.st_dev, status.st_ino), tarfile.TarInfo(name)
        member.mode, member.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        if known := self._names.get(identity):
            member.type, member.linkname = tarfile.LNKTYPE, known
            self.tar.addfile(member)
            self.members[name] = {"link": known}
            return
        member.size = status.st_size
        reader = _Hashed(file)
        self.tar.addfile(member, reader)  # type: ignore[arg-type]
        self._names[identity] = name
        self.members[name] = {"bytes": status.st_size, "sha256": reader.digest.hexdigest()}

    def finish(self, **facts: Any) -> None:
        text = json.dumps({"format": FORMAT, **facts, "members": self.members}).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(text), 0o600
        self.tar.addfile(member, io.BytesIO(text))


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]):
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self.file.read(size)
        self.digest.update(chunk)
        return chunk


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """A new archive, readable by its owner only, that appears under its name when the block ends well, and not at all else."""
    staged = target.with_name(f".{target.name}.{os.getpid()}.part")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            _packed(file, target.name) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            yield Writer(tar)
        with staged.open("rb") as written:
            os.fsync(written.fileno())
        os.link(staged, target)  # unlike a rename it never replaces an older backup
    finally:
        staged.unlink(missing_ok=True)


def _packed(file: IO[bytes], name: str) -> Any:
    """Weights hardly shrink: speed counts for more than the last percent."""
    return (
        pa.CompressedOutputStream(file, "zstd")
        if name.endswith(".zst")
        else gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1)
    )


@contextmanager
def _reading(source: Path) -> Iterator[tarfile.TarFile]:
    with source.open("rb") as file:
        packed: Any = pa.CompressedInputStream(file, "zstd") if source.name.endswith(".zst") else gzip.GzipFile(fileobj=file)
        with packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            yield tar


def unpack(source: Path, into: Path) -> dict[str, Any]:
    """Write every member below the directory and give the manifest, once all sums are right. Invalid when anything is not."""
    if not source.name.endswith(SUFFIXES):
        raise invalid_field("source", f"A backup's name ends in {' or '.join(SUFFIXES)}; this is {source.name}.")
    try:
        with _reading(source) as tar:
            found, manifest = _members(tar, into)
    except FileNotFoundError:
        raise invalid_field("source", f"There is no file {source}.") from None
    except BROKEN as error:
        raise Invalid(f"{source.name} can't be read as a backup: {error}. Nothing was changed.") from None
    if manifest is None or manifest.get("format") != FORMAT:
        raise Invalid(f"{source.name} has no manifest of ours at its end: it is cut off or no backup. Nothing was changed.")
    wrong = sorted(name for name in {*found, *manifest["members"]} if found.get(name) != manifest["members"].get(name))
    if wrong:
        raise Invalid(f"{source.name} is damaged: {', '.join(wrong[:3])} and its sum don't fit together. Nothing was changed.")
    return manifest


def _members(tar: tarfile.TarFile, into: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """What was unpacked, described as the manifest does, and the manifest."""
    found: dict[str, dict[str, Any]] = {}
    manifest = None
    for member in tar:
        if member.name == MANIFEST:
            manifest = json.load(tar.extractfile(member) or io.BytesIO())
            continue
        target = _inside(into, member.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if member.islnk():
            _link(_inside(into, member.linkname), target)
            found[member.name] = {"link": member.linkname}
        elif member.isreg():
            found[member.name] = _write(tar, member, target)
        else:
            raise ValueError(f"{member.name} is no file")
    return found, manifest


def _inside(folder: Path, name: str) -> Path:
    """Where a member goes; nothing goes anywhere else, whoever wrote the archive."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name:
        raise ValueError(f"{name!r} is no path of a backup")
    return folder.joinpath(*parts)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o777), "wb") as file:
        source = tar.extractfile(member)
        while source and (chunk := source.read(CHUNK)):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
    os.utime(target, (member.mtime, member.mtime))
    return {"bytes": size, "sha256": digest.hexdigest()}


def _link(known: Path, target: Path) -> None:
    try:
        os.link(known, target)
    except OSError:  # a file system without links; a missing original is an error all the same
        target.write_bytes(known.read_bytes())
