"""The same run once more, to see whether it gives the same weights."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction

from finetune.core import storage
from finetune.core.errors import Conflict
from training.engine.rundir import RunDir
from training.fingerprints import inputs_of
from training.models import TrainingJob
from training.refusals import refuse_unusable
from training.services.start_job import start_job


def reproduce_job(*, job: TrainingJob) -> TrainingJob:
    """A queued job with the method, options, seed, splits, dataset content and base revision of a succeeded one.

    `reproduced_exactly` of the new job tells at its end whether its weights have the same hash. Conflict when the job has
    not succeeded, or when its dataset or base model is not what it was; Invalid when one of them can't be used any more.
    """
    if job.status != TrainingJob.Status.SUCCEEDED:
        raise Conflict(f"Only a job that succeeded can be reproduced; this one is {job.status}.", code=f"job_{job.status}")
    refuse_unusable(method=job.method, model=job.model, dataset=job.dataset, train_split=job.train_split, eval_split=job.eval_split)
    _refuse_changed(job)
    with transaction.atomic():
        return start_job(job=_copy(job))


def _copy(job: TrainingJob) -> TrainingJob:
    copy = job.alike(name=f"{job.name[:186]} (reproduced)", memory_retries=job.memory_retries, reproduces=job)
    copy.save()
    return copy


def _refuse_changed(job: TrainingJob) -> None:
    then, now = job.inputs or _from_spec(job), inputs_of(job)
    words = {
        "dataset_hash": f"The content of “{job.dataset}” is not what this job learned from: another file is stored there now.",
        "rows": f"The rows of “{job.dataset}” were read anew since and are different now, or their file is gone.",
        "base_revision": f"“{job.model}” is at another revision than it was for this job.",
        "weights": f"The weights of “{job.model}” have changed since, or their files are gone.",
    }
    for key, text in words.items():
        if then.get(key) and then[key] != now[key]:
            raise Conflict(
                f"{text} The run can't be reproduced; clone the job to train on what is there now.", code="inputs_changed"
            )


def _from_spec(job: TrainingJob) -> dict[str, Any]:
    """What an older job, which recorded no fingerprints, says about its inputs in the spec of its last attempt."""
    try:
        spec = json.loads(RunDir(storage.attempt_dir(job.pk, job.attempt)).spec_file.read_text())
    except (OSError, ValueError):
        return {}
    return {"dataset_hash": spec["data"].get("content_hash"), "base_revision": spec["model"].get("revision")}
