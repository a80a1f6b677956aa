"""Put one conversation to two to four models, versions or checkpoints at once."""

from __future__ import annotations

import random
from dataclasses import asdict

from django.db import transaction

from accounts.models import User
from finetune.core.errors import invalid_field
from models_app.models import Comparison
from models_app.services.try_prompt import Params, check_prompt, queue_prompt
from models_app.sources import find_sources
from models_app.trials import SIDES


def compare_sources(
    *, owner: User, sources: list[str], messages: list[dict[str, str]], params: Params, blind: bool = False
) -> tuple[Comparison, str]:
    """(the comparison, the request's id for `follow`). The answers come as those of sides A, B, …; in a blind comparison the sides are
    shuffled and nothing but the text comes with them. When all have answered, the worker keeps the answers in the row; one that can't
    leaves the others alone.

    Invalid, naming the field, for fewer than two or more than four sources, one named twice or not the owner's, an empty prompt, or
    parameters out of range; Conflict when one is not ready; Unavailable when the broker does not answer.
    """
    if not 2 <= len(sources) <= len(SIDES):
        raise invalid_field("sources", f"Choose two to {len(SIDES)} to compare.")
    if len(set(sources)) < len(sources):
        raise invalid_field("sources", "Choose each of them once.")
    check_prompt(messages, params)
    found = find_sources(owner, sources)
    if blind:
        random.SystemRandom().shuffle(found)
    named = list(zip(SIDES, found, strict=False))
    sides = [{"side": side, "ref": s.ref, "name": s.name, "family": s.family, "model_id": s.model_id} for side, s in named]
    with transaction.atomic():
        made = Comparison.objects.create(owner=owner, messages=messages, params=asdict(params), blind=blind, sides=sides)
        weights = [{"id": side, **source.weights} for side, source in named]
        return made, queue_prompt(weights, messages, params, comparison=made.pk, quiet=blind)
