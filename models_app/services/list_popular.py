"""The curated models, with the Hub's numbers where it answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from django.core.cache import cache

from finetune.core import hub_models
from finetune.core.errors import DomainError, Unavailable
from finetune.core.hub_models import HubModel
from models_app.hub_configs import read_configs
from models_app.hub_view import Shown, show
from models_app.popular import POPULAR

LIVE_SECONDS, FAILED_SECONDS = 3600, 60  # how long an answer, or the lack of one, is remembered
TIMEOUT_SECONDS = 4.0
KEY = "hub-popular"


def list_popular(*, owner: Any) -> tuple[list[Shown], bool]:
    """The models, small to large, and whether any of the numbers are live. Never fails for want of the Hub, nor waits long for it."""
    numbers = cache.get(KEY)
    if numbers is None:
        numbers = _ask()
        cache.set(KEY, numbers, LIVE_SECONDS if numbers else FAILED_SECONDS)
    found = [replace(model, **numbers.get(model.repo_id, {})) for model in POPULAR]
    return show(owner, found, read_configs(owner, found)), bool(numbers)


def _ask() -> dict[str, dict[str, Any]]:
    """repo_id → what moves; empty as soon as the Hub does not answer the first question, and where it has none of them."""
    first, *others = POPULAR
    try:
        found = {first.repo_id: _numbers(first)}
    except DomainError:
        return {}
    with ThreadPoolExecutor(8) as pool:
        found |= zip((model.repo_id for model in others), pool.map(_numbers_or_none, others), strict=True)
    return {repo_id: numbers for repo_id, numbers in found.items() if numbers}


def _numbers_or_none(model: HubModel) -> dict[str, Any]:
    try:
        return _numbers(model)
    except DomainError:
        return {}


def _numbers(model: HubModel) -> dict[str, Any]:
    try:
        live = hub_models.describe_model(model.repo_id, timeout=TIMEOUT_SECONDS)
    except Unavailable:
        raise
    except DomainError:  # not there any more, or not on this mirror; the Hub does answer
        return {}
    values = {
        name: getattr(live, name)
        for name in ("commit", "downloads", "likes", "updated_at", "tags", "gated", "license", "architecture", "weight_bytes")
    }
    return {name: value for name, value in values.items() if value not in (None, "", [])} | {
        "parameters": live.parameters or model.parameters
    }
