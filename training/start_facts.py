"""What is written down about a job when it is first queued, so that its end can be compared with its beginning."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from training import money
from training.fingerprints import inputs_of
from training.models import TrainingJob
from training.services.estimate_job import estimate_job

logger = logging.getLogger(__name__)


def facts_at_start(job: TrainingJob) -> dict[str, Any]:
    """{estimate, cost, inputs} for a job that may not be saved yet. A forecast that fails is no reason not to start: then it is None."""
    estimate = _estimate(job)
    cost = money.at_start(job, estimate["duration_seconds"] if estimate else None)
    return {"estimate": estimate, "cost": cost, "inputs": inputs_of(job)}


def _estimate(job: TrainingJob) -> dict[str, Any] | None:
    try:
        found = estimate_job(
            owner=job.owner, model_id=job.model_id, dataset_id=job.dataset_id, method=job.method, executor=job.executor, hardware=job.hardware,
            train_split=job.train_split, eval_split=job.eval_split, config=job.config,
        )  # fmt: skip
    except Exception:
        logger.info("Job “%s” starts without an estimate.", job.name, exc_info=True)
        return None
    return asdict(found) | {"advice": []}
