"""The config.json of many Hub repositories at once: what a search does not say, such as how many tokens a model reads."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from django.conf import settings
from django.core.cache import cache

from finetune.core import hub_models
from finetune.core.errors import DomainError
from finetune.core.hub_models import HubModel

THREADS = 8
SECONDS = 2.5  # that somebody waits for all of them
KNOWN_SECONDS, CLOSED_SECONDS = 86_400, 600  # how long a file, or that one may not read it, is remembered


def read_configs(owner: Any, found: list[HubModel], *, token: str = "") -> dict[str, dict[str, Any]]:
    """repo_id → config.json of those that came in time; one that comes later is there the next time. Never raises."""
    keys = {model.repo_id: _key(owner, model, token) for model in found if model.commit}
    known = cache.get_many(list(keys.values()))
    configs = {repo_id: known[key] for repo_id, key in keys.items() if key in known}
    missing = [model for model in found if model.commit and model.repo_id not in configs]
    return configs | _asked(missing, keys, token)


def _asked(missing: list[HubModel], keys: dict[str, str], token: str) -> dict[str, dict[str, Any]]:
    if not missing:
        return {}
    threads = ThreadPoolExecutor(THREADS, "hub-configs")
    asked = {threads.submit(_read, model, keys[model.repo_id], token): model.repo_id for model in missing}
    done, _ = wait(asked, timeout=SECONDS)
    threads.shutdown(wait=False, cancel_futures=True)
    return {asked[each]: each.result() for each in done}


def _read(model: HubModel, key: str, token: str) -> dict[str, Any]:
    try:
        config = hub_models.read_config(model.repo_id, model.commit, token=token)
    except (DomainError, OSError):  # busy or gone: nothing to remember
        return {}
    if config or model.gated:  # an open one that gave nothing now may give it the next time
        cache.set(key, config, KNOWN_SECONDS if config else CLOSED_SECONDS)
    return config


def _key(owner: Any, model: HubModel, token: str) -> str:
    """Each person's own where not everybody may read it; what was refused without a token says nothing about one."""
    whose = f"{owner.pk} {bool(token)}" if model.private or model.gated else ""
    name = f"{settings.HF_ENDPOINT} {model.repo_id}@{model.commit} {whose}"
    return f"hub-config:{hashlib.sha256(name.encode()).hexdigest()}"
