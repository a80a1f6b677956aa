"""What was found in a file."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

from datasets_app.formats.problems import Problems


@dataclass
class Outcome:
    """What was found in a file. `format` is "" when it was not recognised; then no rows were written."""

    format: str = ""
    kind: str = ""
    rows: int = 0
    valid_rows: int = 0
    columns: list[str] = field(default_factory=list)
    suggestion: dict[str, Any] = field(default_factory=dict)  # the mapping taken because the names left no doubt
    problems: Problems = field(default_factory=Problems)
    summary: dict[str, Any] = field(default_factory=dict)  # {"filled": {column: rows that have something there}}
    unusable: array[int] = field(default_factory=lambda: array("q"))  # the numbers of the rows that are left out
