"""Divide a dataset's rows into splits. The rows stay where they are; each split is a file of its own beside them."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from datasets_app.announce import announce
from datasets_app.formats.leakage import NEARLY_AMONG, Leakage, find_leakage
from datasets_app.formats.splits import PROMPT, UNUSED, Division, SplitError, Wish, divide, write_splits
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import refuse_in_use
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core import storage
from finetune.core.errors import Conflict, invalid_field


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
    `group_by` value, else the same prompt) are in one. Invalid names the value that can't be; Conflict while the dataset has
    no rows or a queued or running job learns from it.
    """
    refuse_unready(dataset)
    refuse_in_use(dataset)
    wish = Wish(
        train=train, validation=validation, test=test, seed=seed, shuffle=shuffle, stratify_by=stratify_by, group_by=group_by
    )
    mapping, rows = dataset.mapping, dataset.report.get("valid_rows", dataset.rows)
    try:
        division = divide(dataset.rows_file, wish)
    except SplitError as error:
        raise invalid_field(error.name, str(error)) from None
    except FileNotFoundError:
        raise Conflict("The rows are missing on the server. Check the dataset again.", code="file_missing") from None
    # Equal prompts (so equal rows too) are together already; with many rows nothing is left to look for.
    clean = division.grouped == PROMPT and len(division.codes) > NEARLY_AMONG
    leakage = Leakage(near=None) if clean else find_leakage(dataset.rows_file, division.of)
    return _keep(dataset, _plan(wish, division, leakage, by) | {"mapping": mapping, "rows": rows}, division)


def _keep(dataset: Dataset, plan: dict[str, Any], division: Division) -> Dataset:
    """Files first, then the row that names them; the files of the earlier split go last."""
    folder, before = f"splits-{secrets.token_hex(6)}", dataset.split_plan.get("folder")
    try:
        write_splits(dataset.rows_file, dataset.directory / folder, division)
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
    row = Dataset.objects.filter(pk=dataset.pk, status=Dataset.Status.READY, attempt=dataset.attempt)
    splits = {name: count for name, count in division.counts.items() if name != UNUSED}
    if not row.update(splits=splits, split_plan=plan, updated_at=timezone.now()):
        raise Conflict("The dataset changed while it was divided. Try again.")
    dataset.refresh_from_db()


def _plan(wish: Wish, division: Division, leakage: Leakage, by: User | None) -> dict[str, Any]:
    return {
        **vars(wish),
        "grouped": division.grouped,
        "groups": division.groups,
        "unused": division.counts.get(UNUSED, 0),
        "leakage": leakage.as_dict(),
        "by": by.username if by else "",
        "at": timezone.now().isoformat(),
    }
