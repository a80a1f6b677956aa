"""While a dataset is read: its rows under the tokenizer that was asked for, and what they measured kept for the statistics."""

from __future__ import annotations

from pathlib import Path

from datasets_app import tokens
from datasets_app.doctor.tokens import OnRows, TokenPass
from datasets_app.formats.problems import Problem, Problems
from datasets_app.models import Dataset
from finetune.core.errors import DomainError


def count_tokens(dataset: Dataset, rows_file: Path, kind: str, problems: Problems, on_rows: OnRows) -> dict[str, list[int]]:
    """Add what the tokenizer finds to the problems. The lines of the rows that a fix would leave out, by rule."""
    model_id = dataset.checks.get("tokenizer_model_id")
    if not model_id:
        return {}
    try:
        directory = tokens.tokenizer_directory(dataset.owner, model_id)
    except DomainError as error:
        problems.add(Problem("tokens_unchecked", error.message))
        return {}
    counted = TokenPass(tokens.load(directory), kind, dataset.checks.get("max_length"), problems.index)
    counted.run(rows_file, on_rows)
    problems.absorb(counted.problems)
    problems.drop("long_rows")  # that was an estimate; these are counts
    return counted.lines
