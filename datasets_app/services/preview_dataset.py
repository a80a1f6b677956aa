"""Show some of a dataset's normalised rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_app.formats.rules import RULES
from datasets_app.models import Dataset
from finetune.core.errors import Conflict, invalid_field

MAX_ROWS = 200


@dataclass(frozen=True)
class Preview:
    """`rows` from `offset` of the `total` that fit; each is {line, …} as datasets_app/formats/schemas.py names it."""

    columns: list[str]
    rows: list[dict[str, Any]]
    total: int
    offset: int
    limit: int
    rendered: list[list[dict[str, Any]]] | None = None


def preview_dataset(
    *,
    dataset: Dataset,
    offset: int = 0,
    limit: int = 20,
    search: str = "",
    split: str = "",
    rule: str = "",
    model_id: int | None = None,
    max_length: int | None = None,
) -> Preview:
    """Rows from `offset` (in constant time), those whose text holds `search`, or those that have a problem (`rule`).
    Beyond the end there are none. With a model, `rendered` is how it will see each of them (services/render_rows.py).

    Refuses an offset or limit out of range, an unknown split or model (Invalid), a dataset that is not ready (Conflict), and
    rendering while no worker answers (Unavailable).
    """
    from datasets_app.formats import rowsfile

    refuse_unready(dataset, split, gated=True)
    if offset < 0:
        raise invalid_field("offset", "Must be 0 or more.")
    if not 1 <= limit <= MAX_ROWS:
        raise invalid_field("limit", f"Must be 1 to {MAX_ROWS}.")
    path = dataset.split_file(split) if split else dataset.rows_file
    columns = rowsfile.columns_in_use(path)
    if rule:
        rows, total = _with_problem(dataset, path, rule, offset, limit)
    elif words := search.strip():
        rows, total = rowsfile.search(path, words, offset, limit)
    else:
        rows, total = rowsfile.read_slice(path, offset, limit), rowsfile.count_rows(path)
    shown = [{name: row[name] for name in ("line", *columns)} for row in rows]
    rendered = None
    if model_id is not None:
        from datasets_app.services.render_rows import render_rows

        rendered = render_rows(dataset=dataset, rows=shown, model_id=model_id, max_length=max_length)
    return Preview(columns, shown, total, offset, limit, rendered)


def _with_problem(dataset: Dataset, path: Path, rule: str, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """The usable rows that have a problem; those that could not be read are not among the rows."""
    from datasets_app.formats import problemindex, rowsfile

    if rule not in RULES:
        return [], 0
    folder = dataset.problems_folder
    if not folder.exists():  # read by an earlier release, which kept examples only
        lines = {problem["line"] for problem in dataset.report.get("problems", []) if problem["rule"] == rule and problem["line"]}
        rows = rowsfile.read_lines(path, sorted(lines))
        return rows[offset : offset + limit], len(rows)
    if path == dataset.rows_file:
        numbers, total = problemindex.numbers_of(folder, rule, offset, limit), problemindex.count_of(folder, rule)
    else:
        inside = problemindex.numbers_within(folder, rule, path)
        numbers, total = inside[offset : offset + limit], len(inside)
    return rowsfile.read_numbers(path, numbers), total


def refuse_unready(dataset: Dataset, split: str = "", *, gated: bool = False) -> None:
    """Conflict unless the dataset's rows can be read; Invalid for a split it does not have. With `gated`, rows that only a
    quality gate holds back may be read."""
    if dataset.is_busy:
        raise Conflict("The dataset is still being read. Try again in a moment.", code="not_ready")
    if dataset.status != Dataset.Status.READY and not (gated and dataset.is_held_by_a_gate):
        raise Conflict("The dataset has no usable rows. Its validation says why.", code="not_ready")
    if split and split not in dataset.splits:
        raise invalid_field("split", f"There is no split “{split[:50]}”. There is: {', '.join(dataset.splits)}.")
