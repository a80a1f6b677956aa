"""What a mixture would be made of, before it is made."""

from __future__ import annotations

from dataclasses import dataclass

from datasets_app.models import Dataset
from datasets_app.services.mix_datasets import Part, refuse_parts, rows_of_parts, usable_rows


@dataclass(frozen=True)
class Share:
    """One dataset's part: rows taken of the usable ones, and its share of the whole between 0 and 1."""

    dataset: Dataset
    taken: int
    usable: int
    share: float

    @property
    def times(self) -> float:
        """How often each row is taken on average; above 1 rows are repeated."""
        return self.taken / max(1, self.usable)


def preview_mixture(*, parts: list[Part], rows: int | None = None) -> list[Share]:
    """The parts in their order, with the rows that mix_datasets would take of each; it refuses what that refuses."""
    refuse_parts(parts)
    counts = rows_of_parts([(usable_rows(part.dataset), part.weight) for part in parts], rows)
    whole = max(1, sum(counts))
    return [Share(part.dataset, count, usable_rows(part.dataset), count / whole) for part, count in zip(parts, counts, strict=True)]
