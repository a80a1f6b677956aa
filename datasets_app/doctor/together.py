"""What only all rows together can show. Memory is bounded: what is compared row by row ends at LIMIT rows, and that is said."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from datasets_app.doctor.languages import guess
from datasets_app.doctor.repeats import Repeats
from datasets_app.doctor.texts import shared_start
from datasets_app.formats.minhash import Sketches
from datasets_app.formats.problems import Problem
from datasets_app.formats.splits import answer_text, prompt_text

LIMIT = 1_500_000  # rows compared for being the same, or contradicting each other: about 40 MB
SKETCHED = 200_000  # rows compared for being nearly the same: about 50 MB
CLASSES, ANSWER = 100, 60  # classification has at most so many different answers, of so many characters
OUTLIER, OUTLIER_AT_LEAST = 10, 2000
TEN, HUNDRED = 10, 100


class Together:
    """Sees every usable row once; `findings` says at the end what the rows have in common, or should have."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows = 0
        self.repeats = Repeats(LIMIT)
        self.sketches = Sketches(SKETCHED)
        self.lines, self.numbers, self.lengths, self.whole = array("Q"), array("Q"), array("I"), array("I")
        self.languages: Counter[str] = Counter()
        self.spoken = array("B")
        self.codes: list[str] = [""]
        self.answers: Counter[str] | None = Counter()
        self.prompt: str | None = None
        self.prompts_differ = self.answers_differ = False
        self.start: str | None = None
        self.end: str | None = None
        self.with_system = 0
        self.toolsets: Counter[tuple[str, ...]] = Counter()

    def add(self, line: int, number: int, row: dict[str, Any]) -> None:
        """One row, its line and its number in the uploaded file."""
        asked, answer = prompt_text(row), answer_text(row)
        self.rows += 1
        self.lines.append(line)
        self.numbers.append(number)
        self.lengths.append(min(len(asked) + len(answer), 2**32 - 1))
        if self.kind in ("sft", "text"):  # comparisons ask the same question several times
            text = asked if self.kind == "text" else f"{asked}\n{answer}"
            if self.sketches.add(text):
                self.whole.append(hash(text) & 0xFFFFFFFF)
        self._language(answer or asked)
        stored = msgspec.json.encode({name: value for name, value in row.items() if name != "line"})
        self.repeats.add(stored, (asked, answer) if self.kind == "sft" else None)
        if self.kind == "text":
            return
        self._common(asked, answer)
        self.with_system += any(turn["role"] == "system" for turn in row.get("messages") or row.get("prompt") or [])

    def _language(self, text: str) -> None:
        code = guess(text)
        self.languages[code] += 1
        if code not in self.codes:
            self.codes.append(code)
        self.spoken.append(self.codes.index(code))

    def _common(self, asked: str, answer: str) -> None:
        if self.prompt is None:
            self.prompt, self.answer, self.start, self.end = asked, answer, asked[:500], answer[-500:]
        self.prompts_differ = self.prompts_differ or asked != self.prompt
        self.answers_differ = self.answers_differ or answer != self.answer
        if self.start and not asked.startswith(self.start):
            self.start = shared_start(self.start, asked)
        if self.end and not answer.endswith(self.end):
            self.end = shared_start(self.end[::-1], answer[::-1])[::-1]
        if self.answers is not None:
            self.answers[answer[: ANSWER + 1]] += 1
            if len(self.answers) > CLASSES or len(answer) > ANSWER:
                self.answers = None

    def _about(self, at: int, rule: str, words: str) -> Problem:
        return Problem(rule, words, self.lines[at], self.numbers[at], at=at)

    # --- at the end -------------------------------------------------------------------------------------------------------

    def findings(self) -> Iterator[Problem]:
        for later, first in self.repeats.duplicates():
            yield self._about(later, "duplicate", f"The same as the row on line {self.lines[first]}.")
        for later, first in self.repeats.contradictions():
            yield self._about(later, "conflicting", f"The question of line {self.lines[first]} again, with another answer.")
        if self.repeats.full:
            words = f"Duplicates and contradictions were looked for among the first {LIMIT:,} rows only."
            yield Problem("duplicates_unchecked", words)
        for later, earlier, overlap in self.sketches.pairs():
            if self.whole[later] == self.whole[earlier]:
                continue  # that is a duplicate, or the same but for case and blanks
            words = f"{overlap:.0%} the same as the row on line {self.lines[earlier]}."
            yield self._about(later, "near_duplicate", words)
        yield from self._size()
        if self.kind != "text" and self.rows >= TEN:
            yield from self._alike()
        yield from self._outliers()
        yield from self._foreign()

    def _size(self) -> Iterator[Problem]:
        if 1 < self.rows < TEN:
            yield Problem(
                "few_rows", f"There are {self.rows} usable rows. Ten are the least that teach a form, some hundred teach a task."
            )
        elif TEN <= self.rows < HUNDRED:
            yield Problem("small_set", f"There are {self.rows} usable rows: enough to try it out. Some hundred teach a task.")

    def _alike(self) -> Iterator[Problem]:
        if not self.prompts_differ:
            yield Problem("same_prompts", f"All {self.rows:,} rows ask the same.")
        elif self.start and len(self.start) >= 20:
            yield Problem("common_start", f"Every question begins with “{self.start[:80]}”.")
        if not self.answers_differ:
            yield Problem("same_completions", f"All {self.rows:,} rows answer the same.")
        elif self.end and len(self.end) >= 20:
            yield Problem("common_end", f"Every answer ends with “{self.end[-80:]}”.")
        if 0 < self.with_system < self.rows:
            yield Problem("system_prompts_differ", f"{self.with_system:,} of {self.rows:,} rows have a system prompt.")
        if len(self.toolsets) > 1:
            yield Problem("tools_differ", f"The rows offer {len(self.toolsets):,} different sets of tools.")
        yield from self._classes()

    def _classes(self) -> Iterator[Problem]:
        if not self.answers or not 1 < len(self.answers) < self.rows / 3:
            return
        ordered = self.answers.most_common()
        words = f"There are {len(ordered)} different answers, from “{ordered[0][0]}” ({ordered[0][1]:,} rows) to “{ordered[-1][0]}” ({ordered[-1][1]:,})."
        yield Problem("few_labels", words)
        if ordered[0][1] > 50 * ordered[-1][1]:
            yield Problem("label_imbalance", words)

    def _outliers(self) -> Iterator[Problem]:
        import numpy as np

        if self.rows < TEN:
            return
        lengths = np.frombuffer(self.lengths, dtype=np.uint32) if self.lengths.itemsize == 4 else np.asarray(self.lengths)
        median = float(np.median(lengths))
        for row in np.flatnonzero(lengths > max(OUTLIER * median, OUTLIER_AT_LEAST)).tolist():
            words = f"{int(lengths[row]):,} characters; half of the rows have at most {median:,.0f}."
            yield self._about(row, "long_outliers", words)

    def _foreign(self) -> Iterator[Problem]:
        known = Counter({code: count for code, count in self.languages.items() if code})
        if len(known) < 2 or not known.total():
            return
        main, count = known.most_common(1)[0]
        if count < 0.6 * known.total():
            return
        for row, number in enumerate(self.spoken):
            code = self.codes[number]
            if code and code != main:
                yield self._about(row, "mixed_languages", f"Looks like {code}; most rows look like {main}.")
