"""Options that suit a model, a dataset and the device better than the method's defaults."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from datasets_app.models import Dataset
from finetune.core.errors import DomainError
from models_app.models import LanguageModel
from training.engine.sample import SAMPLE_CONFIG
from training.engine.shapes import ShapeError
from training.engine.spec import defaults_for
from training.estimates import shape_of
from training.estimator import HARMLESS
from training.row_lengths import sample_rows
from training.services.estimate_job import estimate_job

logger = logging.getLogger(__name__)
LENGTH_STEP = 64  # tokens; a suggested max_length is a multiple of it
COVERED = 0.99  # share of the rows that a suggested max_length leaves whole
LONGEST = 4096  # tokens; longer only when somebody asks for it


@dataclass(frozen=True)
class Suggestion:
    """A value for one option, and why (nothing where one sentence for all of them says it)."""

    value: Any
    reason: str


def suggest_config(
    *, model: LanguageModel, dataset: Dataset | None, method: str, executor: str = "local", train_split: str = ""
) -> dict[str, Suggestion]:
    """Option → suggestion, only where it differs from the method's default. Without a dataset, what the model alone asks for.
    Refuses nothing: what can't be told is left out."""
    found = _for_sample(model, method)
    if dataset is not None:
        found = found or _length(model, dataset)
        values = {name: suggestion.value for name, suggestion in found.items()}
        found |= _to_fit(model, dataset, method, executor, train_split, values)
    defaults = defaults_for(method)
    return {name: item for name, item in found.items() if name in defaults and item.value != defaults[name]}


def _for_sample(model: LanguageModel, method: str) -> dict[str, Suggestion]:
    """The sample model is so small that it needs larger steps than others."""
    if method != "lora" or model.source != LanguageModel.Source.SAMPLE or model.kind != LanguageModel.Kind.BASE:
        return {}
    return {name: Suggestion(value, "") for name, value in SAMPLE_CONFIG.items()}


def _length(model: LanguageModel, dataset: Dataset) -> dict[str, Suggestion]:
    """Long enough for nearly all rows, within what the model can read."""
    try:
        shape = shape_of(model)
        lengths = sorted(sample_rows(dataset.rows_file, dataset.kind).lengths(shape.vocab))
    except (ShapeError, OSError, KeyError, ValueError):
        return {}
    if not lengths:
        return {}
    needed = lengths[int(COVERED * (len(lengths) - 1))]
    rounded = -(-needed // LENGTH_STEP) * LENGTH_STEP
    value = min(rounded, shape.context or LONGEST, LONGEST)
    words = "the rows" if value >= needed else "what this model can read"
    return {"max_length": Suggestion(value, f"Fits {words}: 99 % of them have about {needed} tokens or fewer.")}


def _to_fit(
    model: LanguageModel, dataset: Dataset, method: str, executor: str, train_split: str, config: dict[str, Any]
) -> dict[str, Suggestion]:
    """The first change that makes it fit into memory and leaves the result as it is."""
    try:
        estimate = estimate_job(
            owner=model.owner, model_id=model.pk, dataset_id=dataset.pk, method=method, executor=executor, train_split=train_split,
            config={name: value for name, value in config.items() if name in defaults_for(method)},
        )  # fmt: skip
    except (DomainError, ArithmeticError, KeyError):
        logger.debug("No estimate to suggest from.", exc_info=True)
        return {}
    harmless = next((advice for advice in estimate.advice if set(advice.config) <= HARMLESS and not advice.method), None)
    if harmless is None:
        return {}
    return {name: Suggestion(value, f"So that it fits into {estimate.device_name}.") for name, value in harmless.config.items()}
