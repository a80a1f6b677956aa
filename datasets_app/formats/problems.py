"""What is wrong with a file, in words, with the line it stands on. All problems are counted, the first of each rule are kept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from datasets_app.formats.problemindex import ProblemIndex
from datasets_app.formats.rules import severity_of

KEPT_PER_RULE = 50
EXCERPT = 200  # characters
MESSAGE = 500


class RowError(Exception):
    """This row can't be used. `column` is the field of the row, `path` the place inside it (messages[2].role)."""

    def __init__(self, rule: str, message: str, *, column: str = "", path: str = ""):
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.column = column
        self.path = path


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line` is the 1-based line of the file, `row` the 1-based count of rows; None where it is about the whole file.
    `at` is the row's place among the usable ones, from 0, where it is one."""

    rule: str
    message: str
    line: int | None = None
    row: int | None = None
    column: str = ""
    path: str = ""
    excerpt: str = ""
    at: int | None = None

    @property
    def severity(self) -> str:
        return severity_of(self.rule)

    def as_dict(self) -> dict[str, Any]:
        """As GET …/validation shows it; every text is bounded and storable in any database."""
        values = asdict(self) | {"severity": self.severity}
        del values["at"]
        limits = {"message": MESSAGE, "excerpt": EXCERPT, "column": 100, "path": 200}
        return values | {name: printable(values[name], limit) for name, limit in limits.items()}


class Problems:
    """Counts every problem and keeps the first KEPT_PER_RULE of each rule; an `index` keeps which rows have it."""

    def __init__(self, index: ProblemIndex | None = None) -> None:
        self.index = index
        self.counts: Counter[str] = Counter()
        self.kept: list[Problem] = []
        self.errors = 0
        self.warnings = 0

    def add(self, problem: Problem) -> None:
        self.counts[problem.rule] += 1
        severity = problem.severity
        self.errors += severity == "error"
        self.warnings += severity == "warning"
        if self.counts[problem.rule] <= KEPT_PER_RULE:
            self.kept.append(problem)
        if self.index is not None and problem.at is not None:
            self.index.add(problem.rule, problem.at)

    def absorb(self, other: Problems) -> None:
        """Take over all that another pass found."""
        self.counts.update(other.counts)
        self.kept += other.kept
        self.errors += other.errors
        self.warnings += other.warnings

    def drop(self, rule: str) -> None:
        """Forget a rule that something better has replaced."""
        count, severity = self.counts.pop(rule, 0), severity_of(rule)
        self.kept = [problem for problem in self.kept if problem.rule != rule]
        self.errors -= count * (severity == "error")
        self.warnings -= count * (severity == "warning")
        if self.index is not None:
            self.index.drop(rule)


def printable(text: str, limit: int) -> str:
    """At most `limit` characters, without what databases refuse (NUL, half a surrogate pair)."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def excerpt_of(data: Any) -> str:
    """The beginning of a raw row, for a person to recognise it."""
    if isinstance(data, dict):  # long values are cut first: a row may be megabytes
        data = {str(key)[:EXCERPT]: value[:EXCERPT] if isinstance(value, str) else value for key, value in list(data.items())[:20]}
    try:
        return json.dumps(data, ensure_ascii=False, default=str)[:EXCERPT]
    except (ValueError, RecursionError):
        return ""
