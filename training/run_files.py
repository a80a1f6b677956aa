"""What the platform puts into a run directory before the engine starts, and where it looks for an earlier checkpoint."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from finetune.core import storage, store
from training import slots
from training.engine import checkpoints
from training.engine.rundir import RunDir
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec
from training.models import TrainingJob
from training.sharing import bring_checkpoints

TRAIN_FILE = "data/train.parquet"
EVAL_FILE = "data/eval.parquet"


def build_spec(
    job: TrainingJob, *, attempt: int, resume_from: Path | None = None, train: str = TRAIN_FILE, evaluation: str = EVAL_FILE
) -> TrainingSpec:
    """What the engine is told about this attempt. `train` and `evaluation` are the rows' paths, absolute or relative to the run
    directory; the latter counts only where the job names a split to evaluate on."""
    model = job.model
    source = ModelRef(path=str(model.directory), name=model.name, repo_id=model.repo_id or None, revision=model.revision or None)
    return TrainingSpec(
        method=job.method,
        model=source,
        data=DataRef(
            train=train,
            eval=evaluation if job.eval_split else None,
            kind=job.dataset.kind,
            content_hash=job.dataset.content_hash,
        ),
        config=Config(**job.fitted_config),
        job=str(job.pk),
        attempt=attempt,
        resume_from=str(resume_from) if resume_from else None,
    )


def prepare_run(job: TrainingJob) -> Path:
    """Make the current attempt's run directory whole: the rows (hard-linked where possible), its devices, the checkpoint it was
    told to go on from, and spec.json, which comes last."""
    run = RunDir(storage.attempt_dir(job.pk, job.attempt))
    run.data.mkdir(parents=True, exist_ok=True)
    for split, name in split_files(job).items():
        _link(_first_rows(job, name) or job.dataset.split_file(split), run.path / name)
    slots.pin(run.path, list(job.device_holds.order_by("pk").values_list("device", flat=True)))
    start = starting_point(job, bring=True)
    if start.checkpoint:
        _adopt(start.checkpoint, run)
    run.write_spec(build_spec(job, attempt=job.attempt, resume_from=start.directory))
    return run.path


def split_files(job: TrainingJob) -> dict[str, str]:
    """The splits the job reads → where each lies in its run directory."""
    evaluated = {job.eval_split: EVAL_FILE} if job.eval_split else {}
    return {job.train_split or "train": TRAIN_FILE} | evaluated


def _first_rows(job: TrainingJob, name: str) -> Path | None:
    """The rows an earlier attempt read: a job goes on with those, whatever became of the dataset's splits since."""
    earlier = [RunDir(storage.attempt_dir(job.pk, attempt)) for attempt in range(1, job.attempt)]
    for run in earlier:
        store.here(run.data)
    return next((run.path / name for run in earlier if (run.path / name).exists()), None)


@dataclass(frozen=True)
class StartingPoint:
    """Where an attempt begins: at a named checkpoint, at the newest one in a directory, or at the beginning."""

    checkpoint: Path | None = None
    directory: Path | None = None


def starting_point(job: TrainingJob, *, bring: bool = False) -> StartingPoint:
    """From the newest attempt back: the checkpoint somebody chose for it, else what the attempt before it left. With `bring`, what
    another machine published of it is fetched."""
    chosen = {rewind["attempt"]: rewind for rewind in job.rewinds}
    for attempt in range(job.attempt, 0, -1):
        if rewind := chosen.get(attempt):
            source = storage.attempt_dir(job.pk, rewind["from_attempt"])
            path = checkpoint_path(source, rewind["step"])
            return StartingPoint(checkpoint=store.here(path) if bring else path)
        directory = RunDir(storage.attempt_dir(job.pk, attempt - 1)).checkpoints
        if bring:
            bring_checkpoints(directory)
        if checkpoints.newest(directory)[0]:
            return StartingPoint(directory=directory)
    return StartingPoint()


def checkpoint_path(attempt_dir: Path, step: int) -> Path:
    """Where an attempt keeps the checkpoint of a step."""
    return RunDir(attempt_dir).checkpoints / f"{checkpoints.PREFIX}{step}"


def _adopt(path: Path, run: RunDir) -> None:
    """Put the chosen checkpoint into the attempt's own directory, where the engine looks first."""
    whole = checkpoints.open_checkpoint(path)
    if whole is None:
        raise ValueError(f"{path.name} is damaged or gone. Resume from another checkpoint")
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoints.adopt(whole, run.checkpoints)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links; half a copy must not be taken for the rows by a later attempt
        staged = target.with_name(f".{target.name}")
        try:
            shutil.copy2(source, staged)
            os.replace(staged, target)
        finally:
            staged.unlink(missing_ok=True)
