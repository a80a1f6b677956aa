"""What is wrong with a file, in words, with the line it stands on. All problems are counted, the first of each rule are kept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

KEPT_PER_RULE = 50
EXCERPT = 200  # characters
MESSAGE = 500

# Rules that do not make a row unusable. Every other rule is an error: its row is left out.
WARNINGS = frozenset(
    {"duplicate", "not_alternating", "ends_without_answer", "system_not_first", "few_rows", "duplicates_unchecked"}
)
# Rules about the file as a whole: they do not stand for a row.
FILE_RULES = frozenset(
    {"no_rows", "no_header", "bad_header", "duplicate_column", "not_a_list", "damaged_file", "unfinished", "trailing_data",
     "unknown_format", "missing_column", "few_rows", "duplicates_unchecked"}
)  # fmt: skip

# What each rule is called on a page.
TITLES = {
    "bad_csv": "Broken CSV rows",
    "bad_header": "Header can't be read",
    "bad_tool_call": "Tool calls that can't be read",
    "damaged_file": "File damaged",
    "duplicate": "Duplicate rows",
    "duplicate_column": "Column named twice",
    "duplicate_key": "Keys that stand twice in a row",
    "duplicates_unchecked": "Duplicates not fully checked",
    "empty_content": "Turns without text",
    "empty_field": "Empty fields",
    "ends_without_answer": "Conversations that do not end with an answer",
    "few_rows": "Very few rows",
    "invalid_json": "Lines that are not JSON",
    "invalid_unicode": "Broken characters",
    "missing_column": "Mapped column missing",
    "missing_field": "Missing fields",
    "no_assistant": "Conversations without an answer",
    "no_header": "No header",
    "no_rows": "No rows",
    "not_a_list": "Not a list of rows",
    "not_alternating": "Turns that do not alternate",
    "not_an_object": "Rows that are not objects",
    "not_read": "Reading was stopped",
    "not_utf8": "Bytes that are not UTF-8",
    "row_too_long": "Rows that are too long",
    "same_answers": "Chosen and rejected are the same",
    "system_not_first": "System turns in the middle",
    "too_deep": "Rows nested too deeply",
    "trailing_data": "Text after the end of the list",
    "unfinished": "The list never ends",
    "unknown_format": "Format not recognised",
    "unknown_role": "Unknown roles",
    "wrong_columns": "Rows with too many or too few cells",
    "wrong_type": "Values of the wrong type",
}


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
    """One finding. `line` is the 1-based line of the file, `row` the 1-based count of rows; None where it is about the whole file."""

    rule: str
    message: str
    line: int | None = None
    row: int | None = None
    column: str = ""
    path: str = ""
    excerpt: str = ""

    @property
    def severity(self) -> str:
        return "warning" if self.rule in WARNINGS else "error"

    def as_dict(self) -> dict[str, Any]:
        """As GET …/validation shows it; every text is bounded and storable in any database."""
        values = asdict(self) | {"severity": self.severity}
        limits = {"message": MESSAGE, "excerpt": EXCERPT, "column": 100, "path": 200}
        return values | {name: printable(values[name], limit) for name, limit in limits.items()}


class Problems:
    """Counts every problem and keeps the first KEPT_PER_RULE of each rule."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: list[Problem] = []
        self.errors = 0
        self.warnings = 0

    def add(self, problem: Problem) -> None:
        self.counts[problem.rule] += 1
        if problem.severity == "error":
            self.errors += 1
        else:
            self.warnings += 1
        if self.counts[problem.rule] <= KEPT_PER_RULE:
            self.kept.append(problem)


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
