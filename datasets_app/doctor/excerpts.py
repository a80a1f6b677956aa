"""The beginning of a row beside what was found in it, so that a person knows which row is meant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets_app.doctor.texts import masked
from datasets_app.formats.problems import EXCERPT, Problems, printable
from datasets_app.formats.rowsfile import read_numbers


def quote_rows(problems: Problems, rows_file: Path) -> None:
    """Give the problems that are kept without an excerpt the beginning of their row, secrets and personal data taken out."""
    wanted = sorted({problem.at for problem in problems.kept if problem.at is not None and not problem.excerpt})
    excerpts = {at: _excerpt(row) for at, row in zip(wanted, read_numbers(rows_file, wanted), strict=False)}
    problems.kept = [
        problem if problem.excerpt or problem.at not in excerpts else replace(problem, excerpt=excerpts[problem.at])
        for problem in problems.kept
    ]


def _excerpt(row: dict[str, Any]) -> str:
    said = {name: value for name, value in row.items() if name != "line" and value is not None}
    text = json.dumps(said, ensure_ascii=False)[: 4 * EXCERPT]  # longer, so that no secret at the end is cut beyond recognition
    return printable(masked(text), EXCERPT)
