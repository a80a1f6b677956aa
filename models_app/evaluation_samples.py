"""The samples of an evaluation in the order that is asked for."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from models_app.models import Evaluation

ORDERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "worst": ("Worst first", ("score", "row")),
    "best": ("Best first", ("-score", "row")),
    "surprising": ("Highest loss first", (F("mean").desc(nulls_last=True), "row")),
    "row": ("As in the data", ("row",)),
}


def ordered_samples(evaluation: Evaluation, order: str) -> Any:
    """A queryset; worst first for an order that is not known."""
    keys = ORDERS.get(order, ORDERS["worst"])[1]
    rows = evaluation.samples.all()
    return (rows.filter(tokens__gt=0).annotate(mean=F("nll") / F("tokens")) if order == "surprising" else rows).order_by(*keys)
