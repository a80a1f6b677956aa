"""Checkpoints that are whole or not there: staged beside, fsynced, sealed with a manifest, renamed.

    checkpoints/checkpoint-40/   weights, optimizer.pt, scheduler.pt, rng_state.pth, trainer_state.json, progress.json,
                                 seal.json: {"step", "files": {name: {"bytes", "sha256"}}}
    checkpoints/.staging-…       being written or deleted; a crash leaves it and the next start removes it

The libraries write their files in place and one after the other; killed in between they leave a checkpoint that kills
the resume too. The rename makes the switch atomic and the seal recognises whatever a failing disk does to it later.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "checkpoint-"
STAGING = ".staging-"
SEAL = "seal.json"
PROGRESS = "progress.json"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    path: Path
    step: int
    bytes: int

    def progress(self, rank: int = 0) -> dict[str, Any]:
        """What transformers' own files don't restore: token counts, unlogged loss, the training clock. Each rank has its own."""
        own = self.path / progress_name(rank)
        return json.loads((own if own.exists() else self.path / PROGRESS).read_text())

    @property
    def ranks(self) -> int:
        """How many processes wrote it."""
        return len(list(self.path.glob("progress*.json")))


def progress_name(rank: int) -> str:
    return f"progress-{rank}.json" if rank else PROGRESS


def stage(root: Path, step: int) -> Path:
    """A fresh directory to write the checkpoint of `step` into, on the same file system as its final place."""
    path = root / f"{STAGING}{step}-{os.getpid()}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def commit(written: Path, root: Path, step: int) -> Checkpoint:
    """Seal the files in `written` and give them their name in `root`. Afterwards a power cut can't undo it."""
    seal(written, step)
    final = root / f"{PREFIX}{step}"
    if final.exists():
        discard(final)
    os.replace(written, final)
    sync_directory(root)
    return Checkpoint(final, step, _size(final))


def seal(directory: Path, step: int) -> None:
    """Write the manifest of a directory's files and force everything to disk."""
    files = {path.relative_to(directory).as_posix(): fingerprint(path) for path in _files(directory) if path.name != SEAL}
    (directory / SEAL).write_text(json.dumps({"step": step, "files": files}, indent=1))
    sync_tree(directory)


def fingerprint(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in this directory, or None when it is torn: a file missing, short or altered."""
    try:
        sealed = json.loads((path / SEAL).read_text())
        whole = all(
            (path / name).stat().st_size == expected["bytes"] and sha256(path / name) == expected["sha256"]
            for name, expected in sealed["files"].items()
        )
        return Checkpoint(path, sealed["step"], _size(path)) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest(root: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The newest whole checkpoint under `root` and the torn ones that were passed over to reach it."""
    torn: list[Path] = []
    for path in reversed(_ordered(root)):
        checkpoint = open_checkpoint(path)
        if checkpoint:
            return checkpoint, torn
        torn.append(path)
    return None, torn


def adopt(checkpoint: Checkpoint, root: Path) -> Checkpoint:
    """The same checkpoint inside `root`: an attempt owns what it continues from, so that the next one finds it there.

    Hard links where the file system allows, else copies.
    """
    if checkpoint.path.parent == root:
        return checkpoint
    staging = stage(root, checkpoint.step)
    shutil.copytree(checkpoint.path, staging, copy_function=_link_or_copy, dirs_exist_ok=True)
    final = root / checkpoint.path.name
    if final.exists():
        discard(final)
    os.replace(staging, final)
    sync_directory(root)
    return Checkpoint(final, checkpoint.step, checkpoint.bytes)


def keep_newest(root: Path, limit: int, spared: int | None = None) -> None:
    """Delete all but the newest `limit` checkpoints and the one of the `spared` step."""
    for path in _ordered(root)[:-limit]:
        if path.name != f"{PREFIX}{spared}":
            discard(path)


def discard(path: Path) -> None:
    """Delete a directory so that a crash in the middle leaves nothing that looks like a checkpoint."""
    doomed = path.with_name(f"{STAGING}gone-{path.name}-{os.getpid()}")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def clean(root: Path) -> None:
    """Remove what a killed run left half-written. Only for the one process that owns the directory."""
    for path in root.glob(f"{STAGING}*"):
        shutil.rmtree(path, ignore_errors=True)


def sync_tree(directory: Path) -> None:
    """Force a directory's files and names to disk."""
    for path in _files(directory):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    for folder in [directory, *(path for path in directory.rglob("*") if path.is_dir())]:
        sync_directory(folder)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ordered(root: Path) -> list[Path]:
    """Directories named like checkpoints, oldest first."""
    named = [path for path in root.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(named, key=lambda path: int(path.name.removeprefix(PREFIX)))


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.name != SEAL) + [
        path for path in [directory / SEAL] if path.exists()
    ]


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in _files(directory))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
