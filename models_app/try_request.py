"""From a request's body to a queued prompt: the part that the API and the socket share."""

from __future__ import annotations

from typing import Any

from finetune.core.errors import invalid_field
from models_app.models import LanguageModel
from models_app.serializers import AskSerializer, TrySerializer
from models_app.services.try_prompt import queue_prompt, try_prompt
from models_app.sources import find_sources


def ask(*, user: Any, model: LanguageModel, body: Any) -> str:
    """Queue the body's prompt for the model and those to compare with; the request's id.

    Raises DRF's ValidationError for a body of the wrong shape, and what `try_prompt` refuses. Other people's models look
    like missing ones.
    """
    form = TrySerializer(data=body)
    form.is_valid(raise_exception=True)
    others = _others(user, [pk for pk in form.validated_data["compare_with"] if pk != model.pk])
    checkpoint = form.validated_data["checkpoint"]
    return try_prompt(models=[model, *others], messages=form.conversation(), params=form.params(), checkpoint=checkpoint)


def ask_source(*, user: Any, body: Any) -> str:
    """Queue the body's conversation for the model or checkpoint that `source` names; the request's id. Refuses as `ask` does."""
    form = AskSerializer(data=body)
    form.is_valid(raise_exception=True)
    source = find_sources(user, [form.validated_data["source"]], field="source")[0]
    return queue_prompt([{"id": source.ref, **source.weights}], form.conversation(), form.params())


def _others(user: Any, ids: list[int]) -> list[LanguageModel]:
    found = LanguageModel.objects.for_user(user).select_related("base_model").in_bulk(set(ids))
    missing = [pk for pk in ids if pk not in found]
    if missing:
        raise invalid_field("compare_with", f"No such model: {', '.join(map(str, missing))}.")
    return [found[pk] for pk in dict.fromkeys(ids)]
