"""Quality gates: how many rows with a problem are tolerated before a dataset counts as invalid.

A gate is {rule: tolerated % of the rows}. A dataset has its own or, without any, its owner's.
"""

from __future__ import annotations

from typing import Any

from datasets_app.formats.problems import Problem, Problems
from datasets_app.formats.rules import title_of
from datasets_app.models import Dataset, QualityGates

FAILED = "gate_failed"


def gates_of(dataset: Dataset) -> dict[str, float]:
    """The gates that hold for this dataset."""
    if dataset.gates is not None:
        return dataset.gates
    return gates_of_owner(dataset.owner_id)


def gates_of_owner(owner: Any) -> dict[str, float]:
    """The gates of everybody's own (a user or its id)."""
    return QualityGates.objects.filter(owner=owner).values_list("gates", flat=True).first() or {}


def shown(gates: dict[str, float]) -> list[dict[str, str]]:
    """For a page: each with the title of its rule; 5 %, not 5.0 %."""
    return [{"rule": rule, "title": title_of(rule), "tolerated": f"{tolerated:g}"} for rule, tolerated in gates.items()]


def judge(gates: dict[str, float], problems: Problems, rows: int) -> bool:
    """Whether every gate is passed; each one that is not becomes a problem in words."""
    found = failures(gates, problems.counts, rows)
    for problem in found:
        problems.add(problem)
    return not found


def failures(gates: dict[str, float], counts: dict[str, int], rows: int) -> list[Problem]:
    """One problem for each gate that is not passed."""
    return [
        Problem(FAILED, _words(rule, tolerated, counts[rule], rows))
        for rule, tolerated in gates.items()
        if counts.get(rule) and rows and counts[rule] * 100 / rows > tolerated
    ]


def _words(rule: str, tolerated: float, count: int, rows: int) -> str:
    share = count * 100 / rows
    said = f"{share:.1f} %" if share >= 0.1 else "less than 0.1 %"
    return f"{title_of(rule)}: {count:,} of {rows:,} rows ({said}), and you tolerate {tolerated:g} %."
