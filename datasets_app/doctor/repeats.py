"""Rows that come again, and questions that are answered in two ways: some bytes a row, compared at the end."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

PIECE = 10_000  # pairs that are Python numbers at once: when all rows are equal, there are as many pairs as rows


class Repeats:
    """Sees the rows one after the other, up to `limit` of them. Hashes of 64 bits stand for the texts."""

    def __init__(self, limit: int):
        self.limit, self.full = limit, False
        self._rows, self._asked, self._answers = array("q"), array("q"), array("q")

    def add(self, row: bytes, question: tuple[str, str] | None) -> None:
        """A row as it is stored, and its question with the answer where two answers would contradict each other."""
        if len(self._rows) >= self.limit:
            self.full = True
            return
        self._rows.append(hash(row))
        if question:
            self._asked.append(hash(question[0]))
            self._answers.append(hash(question[1]))

    def duplicates(self) -> Iterator[tuple[int, int]]:
        """(Row, the first that is the same), by their places from 0."""
        return _pairs(*_again(self._rows))

    def contradictions(self) -> Iterator[tuple[int, int]]:
        """(Row, the first that has its question, and another answer)."""
        import numpy as np

        later, first = _again(self._asked)
        answers = np.frombuffer(self._answers, np.int64) if self._answers else np.empty(0, np.int64)
        other = answers[later] != answers[first]
        return _pairs(later[other], first[other])


def _pairs(later: Any, first: Any) -> Iterator[tuple[int, int]]:
    for at in range(0, len(later), PIECE):
        yield from zip(later[at : at + PIECE].tolist(), first[at : at + PIECE].tolist(), strict=True)


def _again(hashes: array[int]) -> tuple[Any, Any]:
    """Where a number stands again, ascending, and where each stood first."""
    import numpy as np

    numbers = np.frombuffer(hashes, np.int64) if hashes else np.empty(0, np.int64)
    order = np.argsort(numbers, kind="stable")
    again = np.zeros(len(order), bool)
    again[1:] = numbers[order[1:]] == numbers[order[:-1]]
    first = order[np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))]
    later = order[again]
    in_order = np.argsort(later)
    return later[in_order], first[again][in_order]
