"""What a pass over the rows counts, for the statistics that need no tokenizer."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from datasets_app.doctor.distribution import curve, distribution

BYTES_PER_TOKEN, OTHER_SCRIPT_BYTES, MESSAGE_TOKENS = 4.4, 3.0, 5  # byte-level BPE of some 50,000 words and a ChatML-like template
MOST_TURNS = 12
WORDS = "Estimated from bytes, without a tokenizer. Choose a model to measure with its own."


class Summary:
    """Turns, roles and estimated tokens."""

    def __init__(self) -> None:
        self.roles: Counter[str] = Counter()
        self.turns: Counter[int] = Counter()
        self.tokens, self.trained = array("I"), 0

    def add(self, texts: list[tuple[str, str, str]]) -> int:
        """One row whose (path, role, text) are given; its estimated tokens."""
        spoken = [role for _, role, _ in texts if role != "system"]
        self.roles.update(role for _, role, _ in texts if role)
        self.turns[min(len(spoken), MOST_TURNS)] += 1
        sizes = [(estimate(text), role) for _, role, text in texts]
        tokens = sum(size for size, _ in sizes) + MESSAGE_TOKENS * len(spoken)
        self.trained += sum(size for size, role in sizes if role in ("assistant", ""))
        self.tokens.append(max(1, tokens))
        return tokens

    def as_dict(self) -> dict[str, Any]:
        return {
            "tokens": distribution(self.tokens),
            "curve": curve(self.tokens),
            "trained_tokens": self.trained,
            "estimated": True,
            "note": WORDS,
            "turns": {str(turns): self.turns[turns] for turns in sorted(self.turns)},
            "roles": dict(self.roles.most_common()),
        }


def estimate(text: str) -> int:
    """Tokens of a text, from its bytes."""
    if text.isascii():
        return round(len(text) / BYTES_PER_TOKEN)
    total, plain = len(text.encode("utf-8", "replace")), len(text.encode("ascii", "ignore"))
    return round(plain / BYTES_PER_TOKEN + (total - plain) / OTHER_SCRIPT_BYTES)
