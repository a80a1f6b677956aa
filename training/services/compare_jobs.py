"""Several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finetune.core.errors import invalid_field
from training.engine.spec import defaults_for
from training.models import TrainingJob
from training.services.read_metrics import read_metrics

FEWEST, MOST = 2, 24  # more lines than that nobody tells apart
POINTS_EACH, POINTS_TOGETHER = 1000, 8000
# What tells runs apart beside their options: (name, its value on a job).
FACTS: tuple[tuple[str, Any], ...] = (
    ("method", lambda job: job.method),
    ("model", lambda job: job.model.name),
    ("model_revision", lambda job: job.model.revision),
    ("dataset", lambda job: job.dataset.name),
    ("dataset_content_hash", lambda job: job.dataset.content_hash),
    ("train_split", lambda job: job.train_split),
    ("eval_split", lambda job: job.eval_split),
    ("executor", lambda job: job.executor),
)
# Results worth a row, where a job has them.
RESULTS = ("loss", "eval_loss", "best_eval_loss", "eval_perplexity", "eval_mean_token_accuracy", "num_tokens")


def compare_jobs(*, jobs: Sequence[TrainingJob], max_points: int = POINTS_EACH) -> dict[str, Any]:
    """{jobs, config_diff, metrics_diff, curves} of FEWEST to MOST jobs, in the order given.

    `config_diff` has a {field, values} for every fact or option that is not the same everywhere, `metrics_diff` one for every
    result that one of them has; values are in the jobs' order, None where a job has none. `curves` holds each job's points,
    thinned to about `max_points`, to fewer where there are many jobs. Invalid for fewer or more jobs.
    """
    if not FEWEST <= len(jobs) <= MOST:
        raise invalid_field("ids", f"Choose {FEWEST} to {MOST} jobs to compare; {len(jobs)} were named.")
    max_points = min(max_points, POINTS_TOGETHER // len(jobs))
    return {
        "jobs": list(jobs),
        "config_diff": different([*_facts(jobs), *_options(jobs)]),
        "metrics_diff": _results(jobs),
        "curves": [{"id": job.pk, "name": job.name, "points": read_metrics(job=job, max_points=max_points).points} for job in jobs],
    }


def _facts(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    return [{"field": name, "values": [value(job) for job in jobs]} for name, value in FACTS]


def _options(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    """Options as they were used: one that a job does not name (it is newer than the job) has its method's default."""
    configs = [defaults_for(job.method) | job.config for job in jobs]
    names = dict.fromkeys(name for config in configs for name in config)
    return [{"field": name, "values": [config.get(name) for config in configs]} for name in names]


def different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows whose values are not all the same."""
    return [row for row in rows if any(value != row["values"][0] for value in row["values"])]


def _results(jobs: Sequence[TrainingJob]) -> list[dict[str, Any]]:
    rows = [{"field": name, "values": [job.metrics.get(name) for job in jobs]} for name in RESULTS]
    rows += [
        {"field": "training_seconds", "values": [job.progress.get("elapsed_seconds") for job in jobs]},
        {"field": "peak_memory_bytes", "values": [job.memory.get("peak_bytes") for job in jobs]},
    ]
    return [row for row in rows if any(value is not None for value in row["values"])]
