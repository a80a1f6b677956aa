"""Nearly equal texts: MinHash sketches (Broder 1997) over runs of five words, compared by bands, as numpy arrays.

A sketch is 64 numbers; two texts agree in a number with the probability that their runs overlap (Jaccard). 16 bands of
4 numbers find a pair of 80 % overlap with probability 1 - (1 - 0.8⁴)¹⁶ = 99.98 %. 256 bytes a row. (datasketch keeps every
band of every row as Python objects, ten times the memory, and hashes each run with SHA-1.)
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

NUMBERS, BAND = 64, 4
RUN = 5  # words
THRESHOLD = 0.8
PRIME = (1 << 31) - 1  # products of two such numbers fit into 64 bits
SHORTEST = 8  # words; shorter texts are alike by chance

_WORD = re.compile(r"\w+")
_IDEOGRAM = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


class Sketches:
    """Sketches of up to `limit` texts; what comes later is not compared, and `full` says so."""

    def __init__(self, limit: int):
        import numpy as np

        self.limit, self.full = limit, False
        random = np.random.default_rng(5)
        self._a = random.integers(1, PRIME, NUMBERS, dtype=np.uint64)
        self._b = random.integers(0, PRIME, NUMBERS, dtype=np.uint64)
        self._rows: list[Any] = []

    def add(self, text: str) -> bool:
        """Sketch one text; False when there is no room for it."""
        import numpy as np

        if len(self._rows) >= self.limit:
            self.full = True
            return False
        runs = _runs(text)
        if runs is None:
            self._rows.append(None)
            return True
        hashes = np.fromiter((zlib.crc32(run) for run in runs), dtype=np.uint64, count=len(runs)) % PRIME
        # One number of the sketch is the least of all hashes under its own permutation.
        self._rows.append((((hashes[:, None] * self._a) + self._b) % PRIME).min(axis=0).astype(np.uint32))
        return True

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """(later, earlier, estimated overlap) of texts that are nearly the same: each later text once."""
        import numpy as np

        numbers = [number for number, row in enumerate(self._rows) if row is not None]
        if len(numbers) < 2:
            return
        matrix = np.stack([self._rows[number] for number in numbers])
        twins: dict[int, tuple[int, float]] = {}
        for start in range(0, NUMBERS, BAND):
            _compare_band(matrix, start, twins)
        for later in sorted(twins):
            yield numbers[later], numbers[twins[later][0]], twins[later][1]


def _runs(text: str) -> list[bytes] | None:
    """The different runs of words; None for a text too short to compare."""
    words = _WORD.findall(text.casefold())
    if len(words) < SHORTEST:
        words = _IDEOGRAM.findall(text)  # scripts without blanks: their characters are as good as words
    if len(words) < SHORTEST:
        return None
    return list({" ".join(words[at : at + RUN]).encode("utf-8", "replace") for at in range(len(words) - RUN + 1)})


def _compare_band(matrix: Any, start: int, twins: dict[int, tuple[int, float]]) -> None:
    """Texts equal in one band are candidates; each is compared with the first of its bucket."""
    import numpy as np

    columns = [matrix[:, start + at].astype(np.uint64) for at in range(BAND)]
    band = columns[0]
    for column in columns[1:]:  # one number for four; it wraps around, as a hash may
        band = band * np.uint64(0x9E3779B97F4A7C15) + column
    order = np.argsort(band, kind="stable")
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = band[order[1:]] != band[order[:-1]]
    first = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
    later = np.flatnonzero(~fresh)
    alike = (matrix[order[later]] == matrix[first[later]]).mean(axis=1)
    for row, twin, overlap in zip(order[later].tolist(), first[later].tolist(), alike.tolist(), strict=True):
        if overlap >= THRESHOLD and row not in twins:
            twins[row] = (twin, overlap)
