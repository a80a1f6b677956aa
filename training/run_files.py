"""What the platform puts into a run directory before the engine starts, and where it looks for an earlier checkpoint."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from finetune.core import storage
from training.engine import checkpoints
from training.engine.rundir import RunDir
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec
from training.models import TrainingJob

TRAIN_FILE = "data/train.parquet"


def build_spec(job: TrainingJob, *, attempt: int, resume_from: Path | None = None, train: str = TRAIN_FILE) -> TrainingSpec:
    """What the engine is told about this attempt. `train` is the rows' path, absolute or relative to the run directory."""
    model = job.model
    source = ModelRef(path=str(model.directory), name=model.name, repo_id=model.repo_id or None, revision=model.revision or None)
    return TrainingSpec(
        method=job.method,
        model=source,
        data=DataRef(train=train, kind=job.dataset.kind, content_hash=job.dataset.content_hash),
        config=Config(**job.config),
        job=str(job.pk),
        attempt=attempt,
        resume_from=str(resume_from) if resume_from else None,
    )


def prepare_run(job: TrainingJob) -> Path:
    """Make the current attempt's run directory whole: the rows (hard-linked where possible) and spec.json, which comes last."""
    run = RunDir(storage.attempt_dir(job.pk, job.attempt))
    run.data.mkdir(parents=True, exist_ok=True)
    _link(job.dataset.rows_file, run.path / TRAIN_FILE)
    run.write_spec(build_spec(job, attempt=job.attempt, resume_from=newest_checkpoints(job)))
    return run.path


def newest_checkpoints(job: TrainingJob) -> Path | None:
    """The checkpoints directory of the last earlier attempt that left a whole checkpoint; None when none did."""
    for attempt in range(job.attempt - 1, 0, -1):
        directory = RunDir(storage.attempt_dir(job.pk, attempt)).checkpoints
        if checkpoints.newest(directory)[0]:
            return directory
    return None


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
