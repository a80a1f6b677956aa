"""The same run without the platform."""

from __future__ import annotations

import shlex
from typing import Any

from training.engine.rundir import RunDir
from training.engine.spec import to_dict
from training.models import TrainingJob
from training.run_files import EVAL_FILE, TRAIN_FILE, StartingPoint, build_spec, split_files, starting_point


def describe_run(*, job: TrainingJob) -> dict[str, Any]:
    """{command, spec}: save `spec` as spec.json in the directory that the command names, and run it from the project's root.

    The spec is the current attempt's; for a job that has not run yet, what its first attempt will be told.
    """
    directory = f"runs/job-{job.pk}"
    stored = RunDir(job.run_dir).spec_file
    start = starting_point(job) if stored.exists() else StartingPoint()
    resume = start.directory or (start.checkpoint.parent if start.checkpoint else None)
    rows = {place: str(job.dataset.split_file(split)) for split, place in split_files(job).items()}
    paths = {"train": rows[TRAIN_FILE], "evaluation": rows.get(EVAL_FILE, "")}
    spec = to_dict(build_spec(job, attempt=max(job.attempt, 1), resume_from=resume, **paths))
    return {"command": shlex.join(["python", "-m", "training.engine", "run", directory]), "spec": spec}
