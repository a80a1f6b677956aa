"""What a job's runs have written."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetune.core import storage, store
from training.models import JobEvent, TrainingJob


def list_run_files(*, job: TrainingJob) -> list[dict[str, Any]]:
    """Every file of every attempt, here or in the shared store: {path (relative to the job's directory), bytes, modified_at}, by path."""
    root = storage.job_dir(job.pk)
    files = _elsewhere(root)
    for path in sorted(root.rglob("*")):
        try:
            stat = path.stat()
        except FileNotFoundError:  # a checkpoint that was just rotated out
            continue
        if path.is_file() and not path.name.startswith("."):  # half-written ones, and the engine's own
            when = datetime.fromtimestamp(stat.st_mtime, tz=UTC)
            files.append({"path": path.relative_to(root).as_posix(), "bytes": stat.st_size, "modified_at": when})
    return sorted(files, key=lambda file: file["path"])


def _elsewhere(root: Path) -> list[dict[str, Any]]:
    """What other machines published and this one has not fetched."""
    trees = {path: tree for path, tree in store.published(root).items() if not path.exists()}
    return [
        {"path": (path / name).relative_to(root).as_posix(), "bytes": file["bytes"], "modified_at": tree.stored_at}
        for path, tree in trees.items()
        for name, file in tree.files.items()
    ]


def list_checkpoints(*, job: TrainingJob) -> list[dict[str, Any]]:
    """Every checkpoint that was written, newest first: {step, attempt, path, bytes, time, kept, values}."""
    events = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.CHECKPOINT).order_by("-seq")
    there = store.published(storage.job_dir(job.pk))
    return [checkpoint_row(event, there) for event in events]


def checkpoint_row(event: JobEvent, there: Collection[Path]) -> dict[str, Any]:
    """One checkpoint as its event, the disk and what is in the shared store (`there`) tell it."""
    payload = event.payload
    path = payload.get("path") or ""
    place = storage.attempt_dir(event.job_id, event.attempt) / path
    kept = bool(path) and (place.exists() or place in there)
    values = payload.get("values") or {}
    rest = {"step": payload.get("step") or 0, "bytes": payload.get("bytes"), "path": path, "values": values}
    return {**rest, "attempt": event.attempt, "time": event.time, "kept": kept}
