"""The pass over the normalised rows with the model's tokenizer: exact statistics, and the rules that need them."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets_app.doctor.distribution import curve, distribution, share_above
from datasets_app.doctor.excerpts import quote_rows
from datasets_app.formats.problemindex import ProblemIndex
from datasets_app.formats.problems import Problem, Problems
from datasets_app.formats.rowsfile import count_rows, iterate

BATCH = 1000  # rows tokenised together
DOOMED = 100_000  # lines kept of rows that a fix leaves out
STEP = 64  # a recommended max_length is a multiple of this
OnRows = Callable[[int, int], None]  # (rows done, rows in all); may raise to stop the pass


class TokenPass:
    """Measures all rows once. `tokens` is the engine's RowTokens; without `max_length` nothing is said about cut rows."""

    def __init__(self, tokens: Any, kind: str, max_length: int | None = None, index: ProblemIndex | None = None):
        self.tokens, self.kind, self.max_length = tokens, kind, max_length
        self.lengths, self.trained, self.refused = array("I"), 0, 0
        self.problems = Problems(index)
        self.lines: dict[str, list[int]] = {"template_refuses": [], "nothing_trained": []}

    def run(self, rows_file: Path, on_rows: OnRows) -> None:
        total, waiting = count_rows(rows_file), []
        if self.tokens.made_up_template and self.kind != "text":
            self.problems.add(
                Problem(
                    "no_template",
                    "The model has no chat template; counted with ChatML; a training asks you to choose a chat_template.",
                )
            )
        if not self.tokens.has_end:
            self.problems.add(Problem("no_end_token", "The tokenizer has no end-of-text token, so none is put behind an answer."))
        for batch in iterate(rows_file):
            waiting += batch
            if len(waiting) >= BATCH:
                self._measure(waiting)
                waiting = []
                on_rows(len(self.lengths) + self.refused, total)
        self._measure(waiting)
        quote_rows(self.problems, rows_file)
        on_rows(total, total)

    def _measure(self, rows: list[dict[str, Any]]) -> None:
        first = len(self.lengths) + self.refused + 1
        for number, (row, found) in enumerate(zip(rows, self.tokens.measure(rows, self.kind, self.max_length), strict=True), first):
            if found.refused:
                self.refused += 1
                self._note("template_refuses", found.refused, row["line"], number)
                continue
            self.lengths.append(found.tokens)
            self.trained += found.trained
            self._judge(found, row["line"], number)

    def _judge(self, found: Any, line: int, number: int) -> None:
        limit, context = self.max_length, self.tokens.context
        if context and found.tokens > context:
            self._note("beyond_context", f"{found.tokens:,} tokens; the model sees {context:,}.", line, number)
        if not found.trained_within:
            self._note("nothing_trained", "No token of this row is learned.", line, number)
        elif limit and found.last_answer_at is not None and found.last_answer_at >= limit:
            self._note(
                "answer_cut_away", f"The last answer begins at token {found.last_answer_at:,}, beyond {limit:,}.", line, number
            )
        elif limit and found.tokens > limit:
            self._note("cut_rows", f"{found.tokens:,} tokens: {found.tokens - limit:,} are cut.", line, number)

    def _note(self, rule: str, words: str, line: int, number: int) -> None:
        self.problems.add(Problem(rule, words, line, number, at=number - 1))
        lines = self.lines.get(rule)
        if lines is not None and len(lines) < DOOMED:
            lines.append(line)

    def statistics(self) -> dict[str, Any]:
        """What the statistics page shows of tokens."""
        points = curve(self.lengths)
        numbers = distribution(self.lengths)
        advised = recommended(numbers["p99"], numbers["max"], self.tokens.context)
        return {
            "tokens": numbers,
            "curve": points,
            "trained_tokens": self.trained,
            "refused": self.refused,
            "context": self.tokens.context,
            "estimated": False,
            "recommended_max_length": advised,
            "cut_share": share_above(points, advised),
            "packing_gain": packing_gain(self.lengths, advised),
        }


def recommended(p99: int, longest: int, context: int | None) -> int:
    """Long enough for 99 % of the rows, up to a multiple of 64 and within the model's context."""
    wanted = longest if longest <= 1.1 * p99 else p99
    rounded = max(STEP, -(-wanted // STEP) * STEP)
    return min(rounded, context) if context else rounded


def packing_gain(lengths: Any, max_length: int) -> float:
    """How many times fewer sequences packing makes of these rows than one a row, were they packed without a gap."""
    import numpy as np

    if not len(lengths):
        return 1.0
    cut = np.minimum(np.asarray(lengths, dtype=np.int64), max_length)
    return round(len(cut) / max(1.0, np.ceil(cut.sum() / max_length)), 2)
