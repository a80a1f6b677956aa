"""The door to the model's tokenizer. It belongs to the engine, an app above this one, so the settings name its module;
it is loaded in workers only."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.models import User
from finetune.core.errors import invalid_field


def tokenizer_directory(owner: User, model_id: int, field: str = "model_id") -> Path:
    """Where the tokenizer of one of the owner's models lies; Invalid, naming the field, when there is none."""
    models: Any = owner.language_models  # type: ignore[attr-defined]  # a relation from an app above
    model = models.filter(pk=model_id).select_related("base_model").first()
    if model is None:
        raise invalid_field(field, f"There is no model {model_id}.")
    places = [model.directory, *([model.base_model.directory] if model.base_model else [])]
    found = next(
        (place for place in places if (place / "tokenizer_config.json").exists() or (place / "tokenizer.json").exists()), None
    )
    if model.status != "ready" or found is None:
        raise invalid_field(field, f"The tokenizer of “{model}” is not on this machine. Download the model first.")
    return found


def fingerprint(directory: Path) -> str:
    """Two tokenizers with one fingerprint make the same tokens."""
    return _fingerprint(directory, _stamp(directory))


def load(directory: Path) -> Any:
    """The engine's RowTokens of this directory, a few kept warm. Call it in a worker: it loads transformers."""
    return _load(directory, _stamp(directory))


def _stamp(directory: Path) -> int:
    return max((path.stat().st_mtime_ns for path in directory.glob("*") if path.is_file()), default=0)


@lru_cache(maxsize=64)
def _fingerprint(directory: Path, stamp: int) -> str:
    return import_module(settings.ROW_TOKENS_MODULE).fingerprint(directory)


@lru_cache(maxsize=4)
def _load(directory: Path, stamp: int) -> Any:
    return import_module(settings.ROW_TOKENS_MODULE).RowTokens(directory)
