"""What can be wrong with a preference pair, and with all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_app.formats.splits import plain

Found = tuple[str, str, str]  # rule, words, path
RATIO, LONG = 10, 200  # one answer so many times longer than the other, and so many characters at least
BIAS, BIAS_ROWS = 0.9, 20


class Lengths:
    """How often the chosen answer is the longer one."""

    def __init__(self) -> None:
        self.pairs = self.chosen_longer = 0

    def add(self, chosen: int, rejected: int) -> None:
        self.pairs += 1
        self.chosen_longer += chosen > rejected

    def bias(self) -> str:
        """In words; "" when there is none."""
        if self.pairs < BIAS_ROWS:
            return ""
        share = self.chosen_longer / self.pairs
        which = "longer" if share > BIAS else "shorter" if share < 1 - BIAS else ""
        amount = share if which == "longer" else 1 - share
        return f"The {which} answer is the chosen one in {amount:.0%} of the rows." if which else ""


def problems_of(row: dict[str, Any], lengths: Lengths) -> Iterator[Found]:
    """Each rule once."""
    chosen, rejected = (_said(row[side]) for side in ("chosen", "rejected"))
    lengths.add(len(chosen), len(rejected))
    if row["prompt"] and row["prompt"][-1]["role"] == "assistant":
        yield "prompt_ends_with_answer", "The prompt's last turn is the assistant's.", f"prompt[{len(row['prompt']) - 1}]"
    asked = [at for at, turn in enumerate(row["prompt"]) if turn["role"] == "user"]
    if len(asked) > 1:
        yield "earlier_turns", f"The prompt has {len(asked):,} user turns.", f"prompt[{asked[1]}]"
    if max(len(row["chosen"]), len(row["rejected"])) > 1:
        yield "several_turns", "One side has several turns.", "chosen" if len(row["chosen"]) > 1 else "rejected"
    if plain(chosen) == plain(rejected):
        yield "nearly_same_answers", "The two answers differ by blanks or case only.", "rejected"
    longer, shorter = max(len(chosen), len(rejected)), max(1, min(len(chosen), len(rejected)))
    if longer >= LONG and longer > RATIO * shorter:
        yield "very_different_lengths", f"One answer has {longer:,} characters, the other {shorter:,}.", "chosen"


def _said(turns: list[dict[str, Any]]) -> str:
    return "\n".join(turn["content"] for turn in turns)
