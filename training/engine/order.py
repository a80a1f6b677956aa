"""Batches of rows of like length, in an order that depends on (seed, epoch) only, so that a resumed run goes on with the same.

transformers' own sampler draws from a generator that checkpoints don't hold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

# Batches sorted together: enough that the rows of one are alike, few enough that epochs stay mixed.
WINDOW = 50


class LengthOrder:
    """A sampler. `lengths` are tokens by row; `batch` is the number of rows that share one step."""

    def __init__(self, lengths: list[int], batch: int, seed: int):
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self._seed}:{self._epoch}")  # noqa: S311 - an order, no secret
        rows = list(range(len(self._lengths)))
        generator.shuffle(rows)
        window = WINDOW * self._batch
        batches = [batch for start in range(0, len(rows), window) for batch in self._sorted(rows[start : start + window])]
        # Only the last may be short, or every batch after it would be shifted.
        whole = [batch for batch in batches if len(batch) == self._batch]
        generator.shuffle(whole)
        short = [batch for batch in batches if len(batch) < self._batch]
        yield from (row for batch in whole + short for row in batch)

    def _sorted(self, rows: list[int]) -> list[list[int]]:
        rows = sorted(rows, key=lambda row: self._lengths[row])
        return [rows[start : start + self._batch] for start in range(0, len(rows), self._batch)]


def row_lengths(dataset: Any) -> list[int]:
    """Tokens of each row of a datasets.Dataset, over all its columns of tokens."""
    import pyarrow.compute as compute

    table = dataset.with_format("arrow")[:]
    names = [name for name in table.column_names if name.endswith("_ids")]
    columns = [compute.list_value_length(table[name]).to_pylist() for name in names]
    return [sum(parts) for parts in zip(*columns, strict=True)]
