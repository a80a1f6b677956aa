"""How well an answer fits the expected one: exact match and token F1 as in SQuAD (Rajpurkar et al. 2016), ROUGE-L (Lin 2004).

Texts are compared by their words in lower case without punctuation; each Chinese or Japanese character counts as a word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
FAILED_CHECK = 1.0  # taken off the score for each


def words_of(text: str) -> list[str]:
    """The words that are compared."""
    return WORDS.findall(text.lower())


def exact_match(answer: str, expected: str) -> bool:
    """The same words in the same order; for texts without any word, the same characters."""
    ours, theirs = words_of(answer), words_of(expected)
    return ours == theirs if ours or theirs else answer.strip() == expected.strip()


def token_f1(answer: str, expected: str) -> float:
    """Harmonic mean of the shares of words, counted with repetition, that each has in common with the other."""
    ours, theirs = words_of(answer), words_of(expected)
    if not ours or not theirs:
        return float(exact_match(answer, expected))
    return _f1(sum((Counter(ours) & Counter(theirs)).values()), len(ours), len(theirs))


def rouge_l(answer: str, expected: str) -> float:
    """F1 of the longest common subsequence of words."""
    ours, theirs = words_of(answer), words_of(expected)
    if not ours or not theirs:
        return float(exact_match(answer, expected))
    return _f1(common_length(ours, theirs), len(ours), len(theirs))


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs)


def common_length(ours: list[str], theirs: list[str]) -> int:
    """Length of the longest common subsequence; a row of the table is one number's bits (Hyyrö 2004), so long texts are quick."""
    places: dict[str, int] = {}
    for at, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << at
    whole = (1 << len(ours)) - 1
    row = whole
    for word in theirs:
        found = row & places.get(word, 0)
        row = ((row + found) | (row - found)) & whole
    return len(ours) - row.bit_count()


def score_of(sample: dict[str, Any]) -> float:
    """One number to sort by: the mean of F1 and ROUGE-L (for plain text the likelihood), less for each failed check."""
    if sample.get("f1") is not None:
        found = (sample["f1"] + sample["rouge_l"]) / 2
    elif sample.get("nll") is not None and sample.get("tokens"):
        found = -sample["nll"] / sample["tokens"]
    else:
        return -100.0
    return found - FAILED_CHECK * sum(sample.get(name) is False for name in ("pattern_ok", "schema_ok"))


def summary(samples: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Means over the samples that have the value; loss over all tokens, perplexity from it; shares from 0 to 1; counts."""
    rows = list(samples)
    found: dict[str, Any] = {"rows": len(rows), "answered": sum(row["f1"] is not None for row in rows)}
    tokens = sum(row["tokens"] for row in rows if row["nll"] is not None)
    if tokens:
        found["loss"] = sum(row["nll"] for row in rows if row["nll"] is not None) / tokens
        found["perplexity"] = math.exp(min(found["loss"], 700))
        found["tokens"] = tokens
    for ours, name in NAMES.items():
        values = [row[ours] for row in rows if row[ours] is not None]
        if values:
            found[name] = sum(values) / len(values)
    return found


NAMES = {
    "exact": "exact_match",
    "f1": "token_f1",
    "rouge_l": "rouge_l",
    "pattern_ok": "pattern_share",
    "schema_ok": "schema_share",
    "prefers": "preference_accuracy",
}
