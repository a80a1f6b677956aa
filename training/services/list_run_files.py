"""What a job's runs have written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from finetune.core import storage
from training.models import JobEvent, TrainingJob


def list_run_files(*, job: TrainingJob) -> list[dict[str, Any]]:
    """Every file of every attempt: {path (relative to the job's directory), bytes, modified_at}, by path."""
    root = storage.job_dir(job.pk)
    files = []
    for path in sorted(root.rglob("*")):
        try:
            stat = path.stat()
        except FileNotFoundError:  # a checkpoint that was just rotated out
            continue
        if path.is_file() and not path.name.startswith("."):  # half-written ones, and the engine's own
            when = datetime.fromtimestamp(stat.st_mtime, tz=UTC)
            files.append({"path": path.relative_to(root).as_posix(), "bytes": stat.st_size, "modified_at": when})
    return files


def list_checkpoints(*, job: TrainingJob) -> list[dict[str, Any]]:
    """Every checkpoint that was written, newest first: {step, attempt, path, bytes, time, kept, values}."""
    events = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.CHECKPOINT).order_by("-seq")
    return [checkpoint_row(event) for event in events]


def checkpoint_row(event: JobEvent) -> dict[str, Any]:
    """One checkpoint as its event and the disk tell it."""
    payload = event.payload
    path = payload.get("path") or ""
    kept = bool(path) and (storage.attempt_dir(event.job_id, event.attempt) / path).exists()
    values = payload.get("values") or {}
    rest = {"step": payload.get("step") or 0, "bytes": payload.get("bytes"), "path": path, "values": values}
    return {**rest, "attempt": event.attempt, "time": event.time, "kept": kept}
