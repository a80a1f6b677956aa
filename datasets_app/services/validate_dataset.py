"""Read a dataset's file: recognise its format, check every row, write the usable ones as Parquet."""

from __future__ import annotations

import errno
import logging
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from django.utils import timezone

from datasets_app import tokens
from datasets_app.announce import announce
from datasets_app.claims import Claim, Lost
from datasets_app.derive import DERIVED, SourceGone, make_source
from datasets_app.formats.bundle import open_source
from datasets_app.formats.convert import convert
from datasets_app.formats.mapping import MappingError, read_mapping
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.problemindex import UNUSABLE, ProblemIndex
from datasets_app.formats.problems import Problem, printable
from datasets_app.gates import gates_of, judge
from datasets_app.hub_import import fetch_files
from datasets_app.models import PROBLEMS, ROWS, Dataset
from datasets_app.services.delete_dataset import refuse_in_use
from datasets_app.services.examine_dataset import examine, examine_dataset, publish_rows
from finetune.core import storage, store
from finetune.core.errors import Conflict, DomainError, invalid_field

logger = logging.getLogger(__name__)
S = Dataset.Status
AT_ONCE = 8 * 1024**2  # bytes that the doctor looks at in a second or two


def validate_dataset(
    *,
    dataset: Dataset,
    mapping: str | dict[str, Any] | None = None,
    tokenizer_model_id: int | None = None,
    max_length: int | None = None,
) -> Dataset:
    """Read the stored file again, with another mapping if one is given ({} takes it away). Returns at once.

    With a model its tokenizer and chat template are used to find rows that are cut at `max_length` tokens, refused or teach
    nothing; without one, lengths are estimated from bytes. Refuses a mapping that makes no sense or a model that is not the
    owner's (Invalid), a dataset that is being read already or that a queued or running job learns from (Conflict).
    """
    try:
        fields = dataset.mapping if mapping is None else read_mapping(mapping)
    except MappingError as error:
        raise invalid_field("mapping", str(error)) from None
    if tokenizer_model_id is not None:
        tokens.tokenizer_directory(dataset.owner, tokenizer_model_id, "tokenizer_model_id")
    refuse_in_use(dataset)
    values = {"mapping": fields, "checks": {"tokenizer_model_id": tokenizer_model_id, "max_length": max_length}}
    if not dataset.move(
        S.UPLOADED, when=(S.READY, S.INVALID), **values, restarts=0, examined=True, division=None, updated_at=timezone.now()
    ):
        raise Conflict("The dataset is being read already. Wait until that is done.")
    ingest.delay_on_commit(dataset.pk)
    return dataset


@shared_task
def ingest(pk: int) -> None:
    """The background half. A second delivery finds nothing to claim; a crash leaves words, never half a file."""
    claim = _claim(pk)
    if claim is None:
        return
    staged = storage.dataset_dir(pk) / f".rows-{claim.attempt}.parquet"
    try:
        dataset = Dataset.objects.get(pk=pk)
        _read(dataset, staged, claim)
    except (Lost, Dataset.DoesNotExist):
        logger.info("Dataset %s was taken over or deleted while it was read.", pk)
        if not Dataset.objects.filter(pk=pk).exists():  # an import may have made its directory again
            storage.remove_tree(storage.dataset_dir(pk))
    except DomainError as error:
        _give_up(claim, error.message)
    except Exception as error:
        logger.exception("Dataset %s could not be read.", pk)
        _give_up(claim, _words(error))
    finally:
        staged.unlink(missing_ok=True)
        storage.remove_tree(staged.with_suffix(""))
    announce(pk)


def _claim(pk: int) -> Claim | None:
    """Move uploaded → validating; None when there is nothing to do."""
    attempt = Dataset.objects.filter(pk=pk, status=S.UPLOADED).values_list("attempt", flat=True).first()
    if attempt is None:
        return None
    row = Dataset.objects.filter(pk=pk, status=S.UPLOADED, attempt=attempt)
    if not row.update(status=S.VALIDATING, attempt=attempt + 1, progress=None, updated_at=timezone.now()):
        return None
    announce(pk)
    return Claim(pk, attempt + 1, Dataset.objects.filter(pk=pk, status=S.VALIDATING, attempt=attempt + 1))


def _bring_source(dataset: Dataset, claim: Claim) -> None:
    """The file to read where it is ours to make or to fetch."""
    if dataset.origin in DERIVED and not dataset.content_hash:
        make_source(dataset, claim.save)
    if dataset.origin == Dataset.Origin.HUB and not dataset.content_hash:
        claim.save(**fetch_files(dataset, claim.progress))
        dataset.refresh_from_db()
        claim.began = time.monotonic()


def _read(dataset: Dataset, staged: Path, claim: Claim) -> None:
    _bring_source(dataset, claim)
    index, at_once = ProblemIndex(staged.with_suffix("")), _is_small_or_judged(dataset)
    with open_source(store.here(dataset.directory / dataset.original_name, beat=claim.save)) as source:
        outcome = convert(source, staged, dataset.mapping, claim.progress, index, packed=at_once)
    for number in outcome.unusable:
        index.add(UNUSABLE, number)
    lines: dict[str, list[int]] = {}
    if outcome.valid_rows and at_once:
        summary, lines = examine_dataset(
            dataset=dataset, rows_file=staged, kind=outcome.kind, problems=outcome.problems,
            unusable=list(outcome.unusable), on_rows=claim.rows,
        )  # fmt: skip
        outcome.summary |= summary
    index.close()
    claim.save()  # still ours? Then the files may change
    _replace_files(dataset, staged, index, outcome)
    publish_rows(dataset, claim)
    findings = _findings(dataset, outcome)
    findings["report"]["lines"] = lines
    claim.save(**findings, examined=at_once or not outcome.valid_rows)
    if not at_once:
        examine.delay_on_commit(dataset.pk)


def _is_small_or_judged(dataset: Dataset) -> bool:
    """Whether nobody may use the rows before the doctor has seen them; otherwise nobody has to wait for that."""
    return dataset.bytes <= AT_ONCE or bool(gates_of(dataset)) or bool(dataset.checks.get("tokenizer_model_id"))


def _replace_files(dataset: Dataset, staged: Path, index: ProblemIndex, outcome: Outcome) -> None:
    storage.remove_tree(dataset.directory / PROBLEMS)
    if outcome.valid_rows:
        index.move_to(dataset.directory / PROBLEMS)
        staged.replace(dataset.directory / ROWS)
    else:
        (dataset.directory / ROWS).unlink(missing_ok=True)
        store.forget(dataset.directory / ROWS)


def _findings(dataset: Dataset, outcome: Outcome) -> dict[str, Any]:
    problems = outcome.problems
    passed = judge(gates_of(dataset), problems, outcome.rows)
    report = {
        "valid_rows": outcome.valid_rows,
        "counts": dict(problems.counts),
        "problems": [problem.as_dict() for problem in problems.kept],
        "suggestion": {field: printable(column, 200) for field, column in outcome.suggestion.items()},
    }
    return {
        "status": S.READY if outcome.valid_rows and passed else S.INVALID,
        "format": outcome.format,
        "kind": outcome.kind,
        "rows": outcome.rows,
        "columns": [printable(column, 200) for column in outcome.columns],
        **_splits(dataset, outcome),
        "errors": problems.errors,
        "warnings": problems.warnings,
        "report": report,
        "summary": outcome.summary,
        "progress": None,
    }


def _splits(dataset: Dataset, outcome: Outcome) -> dict[str, Any]:
    """The rows' division stays while they are the same rows; other rows can't have it."""
    plan = dataset.split_plan
    if plan and (plan.get("rows"), plan.get("mapping")) == (outcome.valid_rows, dataset.mapping):
        return {"splits": dataset.splits, "split_plan": plan}
    return {"splits": {"train": outcome.valid_rows} if outcome.valid_rows else {}, "split_plan": {}}


def _give_up(claim: Claim, words: str) -> None:
    problem = Problem("not_read", words)
    report = {"valid_rows": 0, "counts": {"not_read": 1}, "problems": [problem.as_dict()], "suggestion": {}}
    claim.mine.update(status=S.INVALID, errors=1, warnings=0, report=report, splits={}, progress=None, updated_at=timezone.now())


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The server's disk is full. Make room, then check the dataset again."
    if isinstance(error, SourceGone):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "The stored file is missing on the server. Upload it again."
    if isinstance(error, MemoryError):
        return "The server ran out of memory while it read the file. Try again when it is less busy."
    return f"Reading stopped on an error of ours ({type(error).__name__}); it is in the worker's log. Check the dataset again."
