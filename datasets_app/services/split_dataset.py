"""Divide a dataset's rows into splits. The rows stay where they are; each split is a file of its own beside them."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from datasets_app.announce import announce
from datasets_app.formats.leakage import NEARLY_AMONG, Leakage, find_leakage
from datasets_app.formats.splits import PROMPT, UNUSED, Division, SplitError, Wish, divide, write_splits
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import refuse_in_use
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core import storage, store
from finetune.core.errors import Conflict, DomainError, invalid_field

logger = logging.getLogger(__name__)
AT_ONCE = 20_000  # rows divided within a second or so
TELL_EVERY = 0.3  # seconds
QUEUED, RUNNING, FAILED = "queued", "running", "failed"


def split_dataset(
    *,
    dataset: Dataset,
    train: float,
    validation: float = 0,
    test: float = 0,
    seed: int = 42,
    shuffle: bool = True,
    stratify_by: str = "",
    group_by: str = "",
    by: User | None = None,
) -> Dataset:
    """Divide by fractions (all at most 1) or counts of rows; what they leave over is in no split. An earlier split is replaced.

    The same seed and file give the same splits everywhere. No row is in two splits, and rows that belong together (the same
    `group_by` value, else the same prompt) are in one. More than AT_ONCE rows are divided in the background: `division` then
    says how far that is, or in the end why it could not be. Invalid names the value that can't be; Conflict while the dataset
    has no rows, is being divided, or a queued or running job learns from it.
    """
    refuse_unready(dataset)
    refuse_in_use(dataset)
    if dataset.is_being_divided:
        raise Conflict("The rows are being divided already. Wait until that is done.")
    wish = Wish(
        train=train, validation=validation, test=test, seed=seed, shuffle=shuffle, stratify_by=stratify_by, group_by=group_by
    )
    rows, name = dataset.report.get("valid_rows", dataset.rows), by.username if by else ""
    try:
        wish.targets(rows)
        if rows <= AT_ONCE:
            return _divided(dataset, wish, name, lambda: None)
    except SplitError as error:
        raise invalid_field(error.name, str(error)) from None
    return _queued(dataset, {"wish": vars(wish), "by": name, "state": QUEUED, "token": secrets.token_hex(6), "restarts": 0})


def _queued(dataset: Dataset, division: dict[str, Any]) -> Dataset:
    row = Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.READY, attempt=dataset.attempt)
    if not row.update(division=division, updated_at=timezone.now()):
        raise Conflict("The dataset changed meanwhile. Try again.")
    dataset.division = division
    divide_rows.delay_on_commit(dataset.pk, division["token"])
    return dataset


def _divided(dataset: Dataset, wish: Wish, by: str, on_row: Callable[[], None]) -> Dataset:
    mapping, rows = dataset.mapping, dataset.report.get("valid_rows", dataset.rows)
    try:
        division = divide(dataset.rows_file, wish, on_row)
    except FileNotFoundError:
        raise Conflict("The rows are missing on the server. Check the dataset again.", code="file_missing") from None
    # Equal prompts (so equal rows too) are together already; with many rows nothing is left to look for.
    clean = division.grouped == PROMPT and len(division.codes) > NEARLY_AMONG
    leakage = Leakage(near=None) if clean else find_leakage(dataset.rows_file, division.of, on_row)
    return _keep(dataset, _plan(wish, division, leakage, by) | {"mapping": mapping, "rows": rows}, division)


def _keep(dataset: Dataset, plan: dict[str, Any], division: Division) -> Dataset:
    """Files first, then the row that names them; the files of the earlier split go last."""
    folder, before = f"splits-{secrets.token_hex(6)}", dataset.split_plan.get("folder")
    try:
        write_splits(dataset.rows_file, dataset.directory / folder, division)
        store.publish(dataset.directory / folder)
        with transaction.atomic():
            _point_at(dataset, division, plan | {"folder": folder})
            if before:
                transaction.on_commit(partial(storage.remove_tree, dataset.directory / before))
    except BaseException:
        storage.remove_tree(dataset.directory / folder)
        raise
    transaction.on_commit(partial(announce, dataset.pk))
    return dataset


def _point_at(dataset: Dataset, division: Division, plan: dict[str, Any]) -> None:
    """Only if the rows are still those that were divided."""
    refuse_in_use(dataset)
    row = Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.READY, attempt=dataset.attempt)
    splits = {name: count for name, count in division.counts.items() if name != UNUSED}
    if not row.update(splits=splits, split_plan=plan, division=None, updated_at=timezone.now()):
        raise Conflict("The dataset changed while it was divided. Try again.")
    dataset.refresh_from_db()


def _plan(wish: Wish, division: Division, leakage: Leakage, by: str) -> dict[str, Any]:
    return {
        **vars(wish),
        "grouped": division.grouped,
        "groups": division.groups,
        "unused": division.counts.get(UNUSED, 0),
        "leakage": leakage.as_dict(),
        "by": by,
        "at": timezone.now().isoformat(),
    }


# --- the background half --------------------------------------------------------------------------------------------------


class _Replaced(Exception):
    """Another wish, other rows, or no dataset any more: stop without a trace."""


class _Turn:
    """The right to divide one dataset as it was wished; tells how far that is."""

    def __init__(self, dataset: Dataset, division: dict[str, Any]):
        self.division = division
        self.pk, self.rows = dataset.pk, 2 * (dataset.report.get("valid_rows") or dataset.rows or 1)
        self.mine = Dataset.objects.filter(pk=dataset.pk, division__token=self.division["token"])
        self.done, self.told = 0, time.monotonic()

    def row(self) -> None:
        self.done += 1
        if self.done % 500 == 0 and time.monotonic() - self.told > TELL_EVERY:
            self.told = time.monotonic()
            self.save(self.division | {"done": self.done, "total": self.rows})

    def save(self, division: dict[str, Any]) -> None:
        if not self.mine.update(division=division, updated_at=timezone.now()):
            raise _Replaced
        announce(self.pk)


@shared_task
def divide_rows(pk: int, token: str) -> None:
    """Divide as the row's `division` wishes. A second delivery finds another token or none, and does nothing."""
    dataset = Dataset.objects.filter(pk=pk, division__token=token, division__state=QUEUED).first()
    if dataset is None:
        return
    division: dict[str, Any] = {**(dataset.division or {}), "state": RUNNING, "token": secrets.token_hex(6)}
    claimed = Dataset.objects.filter(pk=pk, division__token=token, division__state=QUEUED)
    if not claimed.update(division=division, updated_at=timezone.now()):
        return
    turn = _Turn(dataset, division)
    try:
        _divided(dataset, Wish(**turn.division["wish"]), turn.division["by"], turn.row)
    except _Replaced:
        logger.info("Dataset %s has other rows or another wish by now.", pk)
    except (SplitError, DomainError) as error:
        _fail(turn, str(error) if isinstance(error, SplitError) else error.message)
    except Exception as error:
        logger.exception("Dataset %s could not be divided.", pk)
        _fail(turn, f"Dividing stopped on an error of ours ({type(error).__name__}); it is in the worker's log. Try again.")
    if not Dataset.objects.filter(pk=pk).exists():
        storage.remove_tree(storage.dataset_dir(pk))


def _fail(turn: _Turn, words: str) -> None:
    division = turn.division | {"state": FAILED, "error": words}
    if turn.mine.update(division=division, updated_at=timezone.now()):
        announce(turn.pk)
