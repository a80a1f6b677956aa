"""Nearly equal texts: MinHash sketches (Broder 1997) over runs of five words, compared by bands, as numpy arrays.

A sketch is 64 numbers; two texts agree in a number with the probability that their runs overlap (Jaccard). 16 bands of
4 numbers find a pair of 80 % overlap with probability 1 - (1 - 0.8⁴)¹⁶ = 99.98 %. 256 bytes a row. (datasketch keeps every
band of every row as Python objects, ten times the memory, and hashes each run with SHA-1.)
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator
from typing import Any

NUMBERS, BAND = 64, 4
RUN = 5  # words
THRESHOLD = 0.8
SHORTEST = 8  # words; shorter texts are alike by chance
# Small letters, digits and all that is not ASCII make words; everything else is a blank.
_WORDS = bytes(byte if byte >= 128 or chr(byte).isalnum() else 32 for byte in range(256)).lower()
_IDEOGRAM = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


class Sketches:
    """Sketches of up to `limit` texts; what comes later is not compared, and `full` says so."""

    def __init__(self, limit: int):
        import numpy as np

        self.limit, self.full = limit, False
        random = np.random.default_rng(5)
        self._a = random.integers(1, 2**63, NUMBERS, dtype=np.uint64) | np.uint64(1)
        self._b = random.integers(0, 2**63, NUMBERS, dtype=np.uint64)
        self._mix = random.integers(1, 2**63, RUN, dtype=np.uint64) | np.uint64(1)
        self._sketches = np.empty((limit, NUMBERS), np.uint32)  # what is not written to takes no memory
        self._texts = array("L")  # the number of the text that each belongs to; short ones have none
        self._count = 0

    def add(self, text: str) -> bool:
        """Sketch one text; False when there is no room for it."""
        import numpy as np

        if self._count >= self.limit:
            self.full = True
            return False
        self._count += 1
        words = _words(text)
        if len(words) < SHORTEST:
            return True
        hashes = np.fromiter(map(zlib.crc32, words), dtype=np.uint64, count=len(words))
        count = len(words) - RUN + 1
        runs = sum(hashes[at : at + count] * self._mix[at] for at in range(RUN))
        # Multiply-shift hashing (Dietzfelbinger): one number is the least of all runs under its own multiplier.
        numbers = ((runs[:, None] >> np.uint64(7)) * self._a + self._b) >> np.uint64(32)
        self._sketches[len(self._texts)] = numbers.min(axis=0)
        self._texts.append(self._count - 1)
        return True

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """(later, earlier, estimated overlap) of texts that are nearly the same: each later text once."""
        matrix, texts = self._sketches[: len(self._texts)], self._texts
        twins: dict[int, tuple[int, float]] = {}
        for start in range(0, NUMBERS, BAND):
            _compare_band(matrix, start, twins)
        for later in sorted(twins):
            yield texts[later], texts[twins[later][0]], twins[later][1]


def _words(text: str) -> list[bytes]:
    """The text's words; of scripts without blanks, their characters, which are as good."""
    words = text.encode("utf-8", "replace").translate(_WORDS).split()
    return words if len(words) >= SHORTEST else [char.encode() for char in _IDEOGRAM.findall(text)]


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
