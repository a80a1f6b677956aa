"""Let the doctor look at the rows of a dataset: for a small one while it is read, for a large one when it can be used already."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import shared_task

from datasets_app.announce import announce
from datasets_app.claims import Claim, Lost
from datasets_app.doctor import examination
from datasets_app.formats.problemindex import UNUSABLE, ProblemIndex, numbers_of
from datasets_app.formats.problems import Problem, Problems
from datasets_app.formats.rowsfile import pack
from datasets_app.gates import gates_of, judge
from datasets_app.models import PROBLEMS, ROWS, Dataset
from datasets_app.token_checks import count_tokens
from finetune.core import storage, store

logger = logging.getLogger(__name__)
S = Dataset.Status
CUT_OFF = "Looking closer at the rows stopped on an error of ours ({}); it is in the worker's log. Check the dataset again."


def examine_dataset(
    *, dataset: Dataset, rows_file: Path, kind: str, problems: Problems, unusable: list[int], on_rows: Callable[[int, int], None]
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Look at all rows of the file, with the tokenizer that was asked for, if any; what is found goes into `problems`.

    Gives the rows' summary (doctor/summary.py) and, by rule, the lines that a fix would leave out. `unusable` are the numbers of
    the uploaded rows that are not in the file.
    """
    summary = examination.examine(rows_file, kind, problems, unusable, on_rows, dataset.checks.get("max_length"))
    return summary, count_tokens(dataset, rows_file, kind, problems, on_rows)


def publish_rows(dataset: Dataset, claim: Claim) -> None:
    """Let other machines have the rows and which of them have problems, before the row says that they are there."""
    for name in (ROWS, PROBLEMS):
        if (dataset.directory / name).exists():
            store.publish(dataset.directory / name, beat=claim.save)


@shared_task
def examine(pk: int) -> None:
    """The background half for a dataset that is in use already. A second delivery finds nothing to claim."""
    claim = _claim(pk)
    if claim is None:
        return
    dataset = Dataset.objects.get(pk=pk)
    staged = dataset.directory / f".examined-{claim.attempt}"
    index = ProblemIndex(staged)
    problems = Problems(index)
    try:
        found = examine_dataset(
            dataset=dataset, rows_file=dataset.rows_file, kind=dataset.kind, problems=problems,
            unusable=numbers_of(dataset.problems_folder, UNUSABLE), on_rows=claim.rows,
        )  # fmt: skip
        index.close()
        staged.mkdir(exist_ok=True)
        pack(dataset.rows_file, staged / "rows.parquet")
        claim.save()  # still ours? Then its files may change
        (staged / "rows.parquet").replace(dataset.directory / ROWS)
        index.move_to(dataset.directory / PROBLEMS)
        publish_rows(dataset, claim)
        claim.save(**_findings(dataset, problems, *found))
    except Lost:
        logger.info("Dataset %s was taken over or deleted while it was looked at.", pk)
    except Exception as error:
        logger.exception("Dataset %s could not be looked at.", pk)
        give_up(dataset, claim.mine, CUT_OFF.format(type(error).__name__))
    finally:
        storage.remove_tree(staged)
    announce(pk)


def _claim(pk: int) -> Claim | None:
    before = Dataset.objects.filter(pk=pk, status=S.READY, examined=False).values_list("examinations", flat=True).first()
    if before is None:
        return None
    row = Dataset.objects.filter(pk=pk, status=S.READY, examined=False)
    if not row.filter(examinations=before).update(examinations=before + 1):
        return None
    return Claim(pk, before + 1, row.filter(examinations=before + 1))


def _findings(dataset: Dataset, problems: Problems, summary: dict[str, Any], lines: dict[str, list[int]]) -> dict[str, Any]:
    """What reading found and what looking closer found, together."""
    report = dataset.report
    merged = Problems()
    merged.counts.update(report["counts"])
    merged.errors, merged.warnings = dataset.errors, dataset.warnings
    merged.absorb(problems)
    passed = judge(gates_of(dataset), merged, dataset.rows or 0)
    return {
        "status": S.READY if passed else S.INVALID,
        "errors": merged.errors,
        "warnings": merged.warnings,
        "report": report
        | {
            "counts": dict(merged.counts),
            "problems": report["problems"] + [problem.as_dict() for problem in merged.kept],
            "lines": lines,
        },
        "summary": dataset.summary | summary,
        "examined": True,
        "progress": None,
    }


def give_up(dataset: Dataset, row: Any, words: str) -> bool:
    """The dataset stays usable; its report says that the doctor did not come to an end. Whether the row was still there."""
    report = dataset.report
    counts = report.get("counts", {}) | {"not_examined": 1}
    problems = [*report.get("problems", []), Problem("not_examined", words).as_dict()]
    values = {"examined": True, "warnings": dataset.warnings + 1, "progress": None}
    return bool(row.update(report=report | {"counts": counts, "problems": problems}, **values))
