"""Run a split of a dataset through a version: how likely it finds the expected answers, and how good its own are."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core.errors import invalid_field
from models_app.inference import checks
from models_app.models import Evaluation, LanguageModel
from models_app.run_evaluation import run_evaluations
from models_app.services.try_prompt import weights_of

MOST_ROWS, MOST_NEW_TOKENS = 2000, 1024
HELD_OUT = ("test", "validation")


def evaluate_model(
    *,
    model: LanguageModel,
    dataset: Dataset,
    split: str = "",
    rows: int = 100,
    max_new_tokens: int = 128,
    pattern: str = "",
    schema: str = "",
) -> Evaluation:
    """Queue the first `rows` rows of the split (without one: test, else validation, else all rows). The answers are greedy, so the
    same evaluation has the same result. An answer may be checked with a regular expression (RE2) that has to be found in it, and
    with a JSON schema that it has to satisfy.

    Invalid, naming the field, for an unknown split, numbers out of range, an expression or schema that can't be used, or data without
    answers to compare with; Conflict when model or dataset is not ready.
    """
    _refuse(dataset, split, rows, max_new_tokens, pattern, schema)
    weights_of(model)
    split = split or next((name for name in HELD_OUT if dataset.splits.get(name)), "")
    refuse_unready(dataset, split)
    with transaction.atomic():
        made = Evaluation.objects.create(
            owner=model.owner,
            model=model,
            dataset=dataset,
            dataset_name=str(dataset),
            dataset_hash=dataset.content_hash,
            kind=dataset.kind,
            split=split,
            rows=min(rows, dataset.splits.get(split) or dataset.rows or rows),
            options={"max_new_tokens": max_new_tokens, "pattern": pattern, "schema": schema},
        )
        run_evaluations.delay_on_commit()
    return made


def _refuse(dataset: Dataset, split: str, rows: int, max_new_tokens: int, pattern: str, schema: str) -> None:
    if dataset.kind == Dataset.Kind.UNPAIRED:
        raise invalid_field(
            "dataset", "Rows of this dataset are answers with a verdict; there is nothing to compare an answer with."
        )
    if split and split not in dataset.splits:
        raise invalid_field("split", f"There is no split “{split[:40]}”; there are {', '.join(dataset.splits) or 'none'}.")
    if not 1 <= rows <= MOST_ROWS:
        raise invalid_field("rows", f"Must be from 1 to {MOST_ROWS}.")
    if not 1 <= max_new_tokens <= MOST_NEW_TOKENS:
        raise invalid_field("max_new_tokens", f"Must be from 1 to {MOST_NEW_TOKENS}.")
    for field, text, compile_it in (("pattern", pattern, checks.compiled), ("schema", schema, checks.validator)):
        _refuse_check(field, text, compile_it)
    if dataset.kind == Dataset.Kind.TEXT and (pattern or schema):
        raise invalid_field("pattern" if pattern else "schema", "Plain text asks for no answer, so there is none to check.")


def _refuse_check(field: str, text: str, compile_it: Any) -> None:
    try:
        if text:
            compile_it(text)
    except checks.BadCheck as error:
        raise invalid_field(field, str(error)) from None
