"""Two evaluations beside each other."""

from __future__ import annotations

from typing import Any

from finetune.core.errors import invalid_field
from models_app.models import Evaluation

MOST_ROWS = 200


def compare_evaluations(*, first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """{same_rows, metrics: [{name, a, b, change}], samples: [{row, a, b, change}]}: the rows that changed most for the worse from the first
    to the second come first; samples only where both asked the same rows of the same data.

    Invalid when both are the same one.
    """
    if first.pk == second.pk:
        raise invalid_field("with", "Name another evaluation to compare with.")
    same = bool(first.dataset_hash) and (first.dataset_hash, first.split) == (second.dataset_hash, second.split)
    names = [name for name in (*first.metrics, *second.metrics) if name not in ("rows", "answered", "tokens")]
    metrics = [_difference(name, first.metrics.get(name), second.metrics.get(name)) for name in dict.fromkeys(names)]
    return {"same_rows": same, "metrics": metrics, "samples": _samples(first, second) if same else []}


def _difference(name: str, a: float | None, b: float | None) -> dict[str, Any]:
    return {"name": name, "a": a, "b": b, "change": None if a is None or b is None else b - a}


def _samples(first: Evaluation, second: Evaluation) -> list[dict[str, Any]]:
    ours = {sample.row: sample for sample in first.samples.all()}
    pairs = [(ours[sample.row], sample) for sample in second.samples.all() if sample.row in ours]
    pairs.sort(key=lambda pair: pair[1].score - pair[0].score)
    return [{"row": a.row, "a": a.as_dict(), "b": b.as_dict(), "change": b.score - a.score} for a, b in pairs[:MOST_ROWS]]
