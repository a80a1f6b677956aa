"""Several versions of models beside each other, with what made them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from datasets_app.models import Dataset
from datasets_app.services.diff_versions import diff_versions
from finetune.core.errors import DomainError, invalid_field
from models_app.evaluation_groups import evaluations_beside
from models_app.models import LanguageModel
from models_app.push_card import story_of
from training.engine.spec import defaults_for
from training.models import TrainingJob
from training.run_facts import samples_by_prompt
from training.services.compare_jobs import FACTS, FEWEST, MOST, POINTS_EACH, POINTS_TOGETHER, RESULTS, different
from training.services.read_metrics import read_metrics

# What tells versions apart whoever made them: (name, its value on a version).
OF_VERSIONS: tuple[tuple[str, Any], ...] = (
    ("family", lambda model: model.family),
    ("method", lambda model: model.method),
    ("base_model", lambda model: str(model.base_model) if model.base_model else None),
    ("base_revision", lambda model: model.base_model.revision if model.base_model else None),
    ("adapter", lambda model: model.adapter),
    ("parameters", lambda model: model.parameters),
    ("dtype", lambda model: model.dtype),
)
# Facts of the run that the version does not say itself.
OF_RUNS = tuple(fact for fact in FACTS if fact[0] not in ("method", "model", "model_revision"))
MOST_SAMPLES = 20


def compare_versions(*, models: Sequence[LanguageModel], max_points: int = POINTS_EACH) -> dict[str, Any]:
    """{models, jobs, config_diff, metrics_diff, dataset_diffs, curves, samples, evaluations} of FEWEST to MOST versions, in the order given.

    `config_diff` has {field, values} for whatever is not the same everywhere, `metrics_diff` for every result that one of them has;
    `jobs` holds the run of each or None. `dataset_diffs` says of each neighbouring pair what changed in the rows it learned from;
    `samples` holds the newest sample answers to prompts that two of them were asked, `evaluations` what data that two of them were
    evaluated on says of each (models_app/evaluation_groups.py). Invalid for fewer or more versions.
    """
    if not FEWEST <= len(models) <= MOST:
        raise invalid_field("with", f"Choose {FEWEST} to {MOST} versions to compare; {len(models)} were named.")
    max_points = min(max_points, POINTS_TOGETHER // len(models))
    jobs = [getattr(model, "produced_by", None) for model in models]
    return {
        "models": list(models),
        "jobs": jobs,
        "config_diff": different([*_facts(models, jobs), *_options(models, jobs)]),
        "metrics_diff": _results(models, jobs),
        "dataset_diffs": [_dataset_diff(one, other) for one, other in pairwise(jobs)],
        "curves": [_curve(model, job, max_points) for model, job in zip(models, jobs, strict=True)],
        "samples": _samples(jobs),
        "evaluations": evaluations_beside(models),
    }


def _facts(models: Sequence[LanguageModel], jobs: Sequence[TrainingJob | None]) -> list[dict[str, Any]]:
    rows = [{"field": name, "values": [value(model) for model in models]} for name, value in OF_VERSIONS]
    return rows + [{"field": name, "values": [value(job) if job else None for job in jobs]} for name, value in OF_RUNS]


def _options(models: Sequence[LanguageModel], jobs: Sequence[TrainingJob | None]) -> list[dict[str, Any]]:
    """As they were used; a version whose job is gone has its manifest."""
    configs = []
    for model, job in zip(models, jobs, strict=True):
        known = job.config if job else story_of(model).config
        configs.append(defaults_for(model.method) | known if known and model.method else known)
    names = dict.fromkeys(name for config in configs for name in config)
    return [{"field": name, "values": [config.get(name) for config in configs]} for name in names]


def _results(models: Sequence[LanguageModel], jobs: Sequence[TrainingJob | None]) -> list[dict[str, Any]]:
    rows = [{"field": name, "values": [model.metrics.get(name) for model in models]} for name in RESULTS]
    rows += [
        {"field": "training_seconds", "values": [job.progress.get("elapsed_seconds") if job else None for job in jobs]},
        {"field": "peak_memory_bytes", "values": [job.memory.get("peak_bytes") if job else None for job in jobs]},
    ]
    return [row for row in rows if any(value is not None for value in row["values"])]


def _curve(model: LanguageModel, job: TrainingJob | None, max_points: int) -> dict[str, Any]:
    points = read_metrics(job=job, max_points=max_points).points if job else []
    return {"id": model.pk, "name": str(model), "points": points}


def _dataset_diff(one: TrainingJob | None, other: TrainingJob | None) -> dict[str, Any]:
    """{same, before, after, counts, reason}: ids of the datasets; the counts of changed rows, or why there are none."""
    if one is None or other is None:
        return {"same": None, "before": None, "after": None, "counts": {}, "reason": "The run of one of them was deleted."}
    before, after = one.dataset, other.dataset
    found: dict[str, Any] = {"before": before.pk, "after": after.pk, "counts": {}, "reason": ""}
    if before.pk == after.pk or (before.content_hash and before.content_hash == after.content_hash):
        return {"same": True, **found}
    if before.family != after.family:
        return {"same": False, **found, "reason": f"Different datasets: {_in_words(before)} and {_in_words(after)}."}
    try:
        return {"same": False, **found, "counts": _changed(before, after)}
    except DomainError as error:
        return {"same": False, **found, "reason": error.message}


def _in_words(dataset: Dataset) -> str:
    rows = dataset.rows or 0
    return f"“{dataset.name}” version {dataset.version} with {rows:,} row{'' if rows == 1 else 's'}"


def _changed(before: Dataset, after: Dataset) -> dict[str, int]:
    return diff_versions(before=before, after=after, limit=1).counts


def _samples(jobs: Sequence[TrainingJob | None]) -> list[dict[str, Any]]:
    """[{prompt, texts}] with each version's newest answer, None where it was not asked."""
    answers = [{found["prompt"]: found["newest"]["text"] for found in samples_by_prompt(job)} if job else {} for job in jobs]
    prompts = dict.fromkeys(prompt for known in answers for prompt in known)
    rows = [{"prompt": prompt, "texts": [known.get(prompt) for known in answers]} for prompt in prompts]
    return [row for row in rows if sum(text is not None for text in row["texts"]) > 1][:MOST_SAMPLES]
