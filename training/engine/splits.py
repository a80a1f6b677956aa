"""The rows a run learns from and those it is evaluated on, as tokens on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .attempt import Attempt
from .data import Prepared, count_rows, held_out
from .datacache import prepare_once
from .model import context_length


def prepare_splits(
    attempt: Attempt, tokenizer: Any, make: Callable[..., Prepared], **options: Any
) -> tuple[Prepared, Prepared | None]:
    """(What is learned, what is held out) of the spec's rows, each tokenised by `make` with these options of its own.

    Rank 0 makes the tokens, the others read them.
    """
    options |= {"tokenizer": tokenizer, "kind": attempt.spec.data.kind, "max_length": longest(attempt), "stop": attempt.stop}
    return attempt.world.share(_prepare(attempt, make=make, **options) if attempt.world.is_main else None)


def _prepare(attempt: Attempt, **options: Any) -> tuple[Prepared, Prepared | None]:
    data, config, folder = attempt.spec.data, attempt.config, attempt.dir.data
    source = attempt.dir.resolve(data.train)
    rows = count_rows(source)
    out = set() if data.eval else held_out(rows, config.eval_fraction, config.seed)
    split = f"{config.eval_fraction}:{config.seed}" if out else "all"
    keep = (lambda index: index not in out) if out else None
    train = prepare_once(source, folder / "train.arrow", part=f"train {split}", keep=keep, **options)
    if data.eval:
        return train, prepare_once(attempt.dir.resolve(data.eval), folder / "eval.arrow", part="train all", **options)
    if out:
        return train, prepare_once(source, folder / "eval.arrow", part=f"eval {split}", keep=out.__contains__, **options)
    if config.eval_fraction:
        attempt.log("There are too few rows to hold any out: the run has no evaluation.", "warning")
    return train, None


def longest(attempt: Attempt) -> int:
    """The longest sequence in tokens: max_length, or what the model can read, which is then said in the log."""
    wanted, possible = attempt.config.max_length, context_length(attempt.model_path)
    if possible and wanted > possible:
        attempt.log(f"max_length {wanted} is more than the model's context: rows are cut at {possible} tokens.", "warning")
        return possible
    return wanted
