"""The pass over the usable rows: every one is looked at once, and what is found is counted and partly kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets_app.doctor import comparisons, texts, tools, turns
from datasets_app.doctor.excerpts import quote_rows
from datasets_app.doctor.fixes import TURNS
from datasets_app.doctor.summary import Summary
from datasets_app.doctor.together import Together
from datasets_app.formats.problems import EXCERPT, KEPT_PER_RULE, Problem, Problems
from datasets_app.formats.rowsfile import count_rows, iterate

LONG_ROW = 2048  # tokens, estimated, where no max_length was named
TELL_EVERY = 1000  # rows
OnRows = Callable[[int, int], None]  # (rows done, rows in all); may raise to stop the pass


def examine(
    rows_file: Path, kind: str, problems: Problems, unusable: list[int], on_rows: OnRows, max_length: int | None = None
) -> dict[str, Any]:
    """Look at every row of the file; what is found goes into `problems`. The rows' summary (summary.py).

    `unusable` are the numbers (ascending, from 1) of the uploaded rows that did not get into the file.
    """
    doctor, total = Doctor(kind, problems, max_length), count_rows(rows_file)
    numbers = _numbers(unusable)
    done = 0
    for batch in iterate(rows_file):
        for row in batch:
            doctor.row(done, next(numbers), row)
            done += 1
        if done % TELL_EVERY < len(batch):
            on_rows(done, total)
    on_rows(total, total)
    summary = doctor.finish()
    quote_rows(problems, rows_file)
    return summary


def _numbers(unusable: list[int]) -> Iterator[int]:
    """The numbers in the uploaded file of the rows that are left, one after the other."""
    number, left_out = 0, iter([*unusable, 0])
    next_out = next(left_out)
    while True:
        number += 1
        while number == next_out:
            number, next_out = number + 1, next(left_out)
        yield number


class Doctor:
    """Looks at the rows of one dataset."""

    def __init__(self, kind: str, problems: Problems, max_length: int | None = None):
        self.kind, self.problems = kind, problems
        self.max_length = max_length or LONG_ROW
        self.summary, self.together, self.lengths = Summary(), Together(kind), comparisons.Lengths()

    def row(self, at: int, number: int, row: dict[str, Any]) -> None:
        """One row: its place in the file of usable rows, its number in the uploaded file, and what it holds."""
        line = row["line"]
        where = _Where(self.problems, line, number, at)
        said = said_in(row)
        for path, role, text in said:
            self._text(path, role, text, where)
        self._turns(row, where)
        tokens = self.summary.add(said)
        if tokens > self.max_length:
            where.note("long_rows", f"About {tokens:,} tokens, more than {self.max_length:,}.", "", "")
        self.together.add(line, number, row)

    def _text(self, path: str, role: str, text: str, where: _Where) -> None:
        for rule, words, at in texts.problems_of(text):
            if where.is_new(rule):
                where.note(rule, words, path, texts.masked(text[max(0, at - 60) : at + EXCERPT]))
        if role == "assistant" and text != text.strip() and text.strip():
            where.note("outer_space", "Blanks or line breaks stand around the answer.", path, "")

    def _turns(self, row: dict[str, Any], where: _Where) -> None:
        if self.kind == "preference":
            for rule, words, path in comparisons.problems_of(row, self.lengths):
                where.note(rule, words, path, "")
        if row.get("tools"):
            self.together.toolsets[tools.names_of(row["tools"])] += 1
        messages = row.get("messages")
        if messages is None:
            self._tools_of_answers(row, where)
            return
        for rule, words, path in turns.problems_of(messages, "messages"):
            where.note(rule, words, path, "")
        for rule, words, path in tools.problems_of(messages, row.get("tools"), "messages"):
            where.note(rule, words, path, "")

    def _tools_of_answers(self, row: dict[str, Any], where: _Where) -> None:
        for name in ("chosen", "rejected", "completion"):
            if row.get(name):
                for rule, words, _ in tools.problems_of([*row["prompt"], *row[name]], row.get("tools"), name):
                    where.note(rule, words, name, "")

    def finish(self) -> dict[str, Any]:
        """Say what only the whole shows; the summary."""
        for problem in self.together.findings():
            self.problems.add(problem)
        if words := self.lengths.bias():
            self.problems.add(Problem("length_bias", words))
        languages = {code or "unknown": count for code, count in self.together.languages.most_common(12)}
        return self.summary.as_dict() | {"languages": languages}


class _Where:
    """The place of one row; each rule is noted once a row, so that counts are rows."""

    def __init__(self, problems: Problems, line: int, number: int, at: int):
        self.problems, self.line, self.number, self.at = problems, line, number, at
        self.noted: set[str] = set()

    def is_new(self, rule: str) -> bool:
        return rule not in self.noted

    def note(self, rule: str, words: str, path: str, excerpt: str) -> None:
        if rule in self.noted:
            return
        self.noted.add(rule)
        kept = self.problems.counts[rule] < KEPT_PER_RULE
        self.problems.add(
            Problem(rule, words, self.line, self.number, path.partition("[")[0], path, excerpt if kept else "", self.at)
        )


def said_in(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(path, role, text) of everything a row says; the role of plain text is ""."""
    if "text" in row:
        return [("text", "", row["text"])]
    return [
        (f"{name}[{at}].content", message["role"], message["content"])
        for name in TURNS
        for at, message in enumerate(row.get(name) or [])
    ]
