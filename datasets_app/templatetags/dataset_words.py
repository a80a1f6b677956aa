"""How the dataset pages name formats, kinds and progress."""

from __future__ import annotations

import json
from typing import Any

from django import template

from datasets_app.formats.picking import fields_of, options_of, said
from datasets_app.models import Dataset
from finetune.core.templatetags.ui import duration, size

register = template.Library()

FORMATS = {
    "alpaca": "Alpaca",
    "sharegpt": "ShareGPT",
    "openai": "OpenAI messages",
    "prompt_completion": "Prompt + completion",
    "text": "Plain text",
    "preference": "Preference",
    "kto": "KTO",
}
KINDS = {
    "sft": "examples to imitate",
    "text": "text to continue",
    "preference": "better and worse answers",
    "unpaired": "judged answers",
}


@register.filter
def format_name(value: str) -> str:
    return FORMATS.get(value, value)


@register.filter
def kind_words(value: str) -> str:
    return KINDS.get(value, value)


@register.filter
def mapping_words(mapping: dict[str, Any]) -> str:
    """prompt ← question, completion ← answers[0].text."""
    pairs = [f"{field} ← {said(pick)}" for field, pick in fields_of(mapping).items()]
    options = [f"{name}: {value if isinstance(value, str) else as_json(value)}" for name, value in options_of(mapping).items()]
    return ", ".join(pairs + options)


@register.filter
def as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def fraction(dataset: Dataset) -> float | None:
    """How much of the file is read, 0–1; None while that is unknown."""
    progress = dataset.progress or {}
    return progress["done"] / progress["total"] if progress.get("total") else None


@register.filter
def rows_progress_words(progress: dict[str, Any] | None) -> str:
    """Counting · 12,000 of 210,000 rows · 9,000 rows/s · 9 s left."""
    if not progress:
        return "Counting"
    words = f"Counting · {progress['done']:,} of {progress['total']:,} rows · {progress['rate']:,} rows/s"
    return words if progress["eta_seconds"] is None else f"{words} · {duration(progress['eta_seconds'])} left"


@register.filter
def progress_words(dataset: Dataset) -> str:
    """Reading · 12 MB of 210 MB · 22 MB/s · 9 s left. Before the file of an import is here it is being fetched."""
    progress = dataset.progress
    doing = "Fetching from the Hub" if dataset.origin == dataset.Origin.HUB and not dataset.content_hash else "Reading"
    if not progress:
        return doing
    if progress.get("unit") == "rows":
        return rows_progress_words(progress)
    words = f"{doing} · {size(progress['done'])} of {size(progress['total'])} · {size(progress['rate'])}/s"
    left = progress["eta_seconds"]
    return words if left is None else f"{words} · {duration(left)} left"
