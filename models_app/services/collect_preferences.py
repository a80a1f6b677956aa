"""Votes become rows of a preference dataset, to learn from with DPO or ORPO."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.add_rows import MOST_ROWS, add_rows
from finetune.core.errors import invalid_field
from models_app.models import Comparison


def collect_preferences(
    *, owner: User, comparison: Comparison | None = None, dataset: Dataset | None = None, name: str = ""
) -> Dataset:
    """The next version of the owner's preference `dataset`, or a new one called `name`, with the rows of one comparison's vote; without
    one, of all votes that are in no dataset yet. The best answer is chosen over each other one.

    Invalid when there is no vote for one answer over a different one, neither dataset nor name, or a dataset of another kind.
    """
    voted = Comparison.objects.for_user(owner).filter(kept_in=None).exclude(vote__in=("", "tie", "none")).order_by("pk")
    wanted = [each for each in (voted.filter(pk=comparison.pk) if comparison else voted[:MOST_ROWS]) if rows_of(each)]
    rows = [row for each in wanted for row in rows_of(each)][:MOST_ROWS]
    if not rows:
        raise invalid_field("comparison", "There is no vote for one answer over a different one that is not in a dataset yet.")
    with transaction.atomic():
        made = add_rows(owner=owner, rows=rows, kind=Dataset.Kind.PREFERENCE, dataset=dataset, name=name)
        Comparison.objects.filter(pk__in=[each.pk for each in wanted]).update(kept_in=made)
    return made


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each answer that lost: {prompt, chosen, rejected}, as conversations."""
    best = comparison.outputs.get(comparison.vote, {}).get("text", "")
    others = [output["text"] for side, output in comparison.outputs.items() if side != comparison.vote]
    if not best.strip():
        return []
    return [
        {"prompt": comparison.messages, "chosen": _turn(best), "rejected": _turn(text)}
        for text in dict.fromkeys(others)
        if text.strip() and text != best
    ]


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
