"""Evaluations of several versions over the same rows, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models_app.models import Evaluation, EvaluationSample, LanguageModel

MOST_GROUPS, MOST_ROWS = 5, 10
UNTOLD = ("rows", "answered", "tokens")  # sizes, no measures


def evaluations_beside(models: Sequence[LanguageModel]) -> list[dict[str, Any]]:
    """[{dataset_name, dataset_id, split, rows, evaluations, metrics: [{field, values}], samples: [{row, prompt, expected, texts}]}] for
    each data that two of the versions were asked, the newest first; the values in the versions' order, None where one was not.

    Of each version the newest evaluation counts. The rows about which the versions differ most come first.
    """
    done = Evaluation.objects.filter(model__in=models, status=Evaluation.Status.DONE).exclude(dataset_hash="").order_by("-pk")
    groups: dict[tuple[str, str], dict[int, Evaluation]] = {}
    for each in done[:500]:
        groups.setdefault((each.dataset_hash, each.split), {}).setdefault(each.model_id, each)
    shared = [known for known in groups.values() if len(known) > 1][:MOST_GROUPS]
    return [_group([known.get(model.pk) for model in models]) for known in shared]


def _group(evaluations: list[Evaluation | None]) -> dict[str, Any]:
    known = [each for each in evaluations if each]
    names = dict.fromkeys(name for each in known for name in each.metrics if name not in UNTOLD)
    return {
        "dataset_name": known[0].dataset_name,
        "dataset_id": known[0].dataset_id,
        "split": known[0].split,
        "rows": min(each.rows for each in known),
        "evaluations": [each.pk if each else None for each in evaluations],
        "metrics": [
            {"field": name, "values": [each.metrics.get(name) if each else None for each in evaluations]} for name in names
        ],
        "samples": _samples(evaluations),
    }


def _samples(evaluations: list[Evaluation | None]) -> list[dict[str, Any]]:
    """Rows that all of them were asked."""
    ids = [each.pk for each in evaluations if each]
    scores: dict[int, list[float]] = {}
    for row, score in EvaluationSample.objects.filter(evaluation__in=ids).values_list("row", "score"):
        scores.setdefault(row, []).append(score)
    shared = {row: max(found) - min(found) for row, found in scores.items() if len(found) == len(ids)}
    chosen = sorted(shared, key=lambda row: (-shared[row], row))[:MOST_ROWS]
    kept = EvaluationSample.objects.filter(evaluation__in=ids, row__in=chosen)
    by_place = {(sample.evaluation_id, sample.row): sample for sample in kept}
    return [_row([by_place.get((each.pk, row)) if each else None for each in evaluations], row) for row in chosen]


def _row(samples: list[EvaluationSample | None], row: int) -> dict[str, Any]:
    one = next(sample for sample in samples if sample)
    return {
        "row": row,
        "prompt": one.prompt,
        "expected": one.expected,
        "texts": [sample.output if sample else None for sample in samples],
        "scores": [sample.score if sample else None for sample in samples],
    }
