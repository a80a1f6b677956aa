"""A look at the very first batch before anything is trained: what the trainer is really given, after collation and packing."""

from __future__ import annotations

import itertools
from typing import Any

from .attempt import Attempt
from .failures import EngineError, bad_data

IGNORED = -100
SHOWN = 200  # characters of a learned stretch in the log


def look_at_first_batch(attempt: Attempt, trainer: Any, tokenizer: Any) -> None:
    """Say how many tokens the first rows teach and which; refuse a batch that teaches nothing or something else than its text.

    The rows are taken in the dataset's order, so no random generator moves.
    """
    count = min(attempt.config.per_device_train_batch_size, len(trainer.train_dataset))
    rows = [trainer.train_dataset[index] for index in range(count)]
    batch = trainer.data_collator(rows)
    ids, labels = batch["input_ids"].flatten(), batch["labels"].flatten()
    learned = labels != IGNORED
    if not learned.any():
        raise bad_data("The first batch has nothing to learn.", "Raise max_length, or check the answers of the first rows.")
    expected = sum(label != IGNORED for row in rows for label in _targets(row))
    if not labels[learned].equal(ids[learned]) or int(learned.sum()) < expected:
        raise EngineError("internal", "The labels of the first batch are not its own tokens.", "Report this with the run's log.")
    attempt.log(f"First batch: {count} rows, {ids.numel()} tokens, {int(learned.sum())} learned: {_stretch(tokenizer, labels)!r}")


def _targets(row: dict[str, Any]) -> list[int]:
    """The labels of a row that can be predicted: not the first of each packed one."""
    labels, start, found = row["labels"], 0, []
    for length in row.get("seq_lengths") or [len(labels)]:
        found += labels[start + 1 : start + length]
        start += length
    return found


def _stretch(tokenizer: Any, labels: Any) -> str:
    """The first learned stretch as text."""
    learned = (labels != IGNORED).nonzero().flatten().tolist()
    end = next((place for place, after in itertools.pairwise(learned) if after != place + 1), learned[-1])
    return tokenizer.decode(labels[learned[0] : end + 1])[:SHOWN]
