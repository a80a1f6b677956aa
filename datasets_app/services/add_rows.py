"""Make a dataset of rows that were collected on the platform, or the next version of one with such rows behind its own."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.limits import refuse_when_full
from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import Conflict, invalid_field

TRIES = 5  # somebody else may take the same version number at the same moment
MOST_ROWS = 10_000


def add_rows(*, owner: User, rows: list[dict[str, Any]], kind: str, dataset: Dataset | None = None, name: str = "") -> Dataset:
    """The new version of `dataset` with the rows behind those it has, or without one a new dataset of that name. The rows are raw, as
    an uploaded file would hold them; the file is written and checked in the background. The version before stays as it is.

    Invalid for no rows or too many, a dataset of another kind, or neither dataset nor name; Conflict while the dataset has no rows, and
    when its owner has no room left.
    """
    if not 1 <= len(rows) <= MOST_ROWS:
        raise invalid_field("rows", f"From 1 to {MOST_ROWS:,} rows can be added at once.")
    refuse_when_full(owner)
    if dataset is None:
        return _first_version(owner, rows, name)
    if dataset.kind != kind:
        raise invalid_field("dataset", f"“{dataset}” holds rows of another kind ({dataset.kind}); these are of kind {kind}.")
    refuse_unready(dataset)
    for _ in range(TRIES):
        try:
            return _next_version(dataset, rows, owner)
        except IntegrityError:
            continue
    raise Conflict("Other versions are being made at the same time. Try again.")


def _first_version(owner: User, rows: list[dict[str, Any]], name: str) -> Dataset:
    if not name.strip():
        raise invalid_field("name", "Choose a dataset or give a new one a name.")
    return _made(owner=owner, name=name.strip()[:200], origin_detail=_detail(rows, owner), source_name="collected.jsonl")


def _next_version(dataset: Dataset, rows: list[dict[str, Any]], owner: User) -> Dataset:
    newest = Dataset.objects.filter(family=dataset.family).aggregate(Max("version"))["version__max"]
    return _made(
        owner=dataset.owner,
        name=dataset.name,
        description=dataset.description,
        family=dataset.family,
        version=newest + 1,
        parent=dataset,
        origin_detail={**_detail(rows, owner), "parent_version": dataset.version, "parent_hash": dataset.content_hash},
        source_name=f"{dataset.source_name.split('.')[0][:200] or 'dataset'}.v{newest + 1}.jsonl",
        checks=dataset.checks,
        gates=dataset.gates,
    )


def _detail(rows: list[dict[str, Any]], owner: User) -> dict[str, Any]:
    return {"rows": rows, "added": len(rows), "by": owner.username}


def _made(**values: Any) -> Dataset:
    with transaction.atomic():
        made = Dataset.objects.create(origin=Dataset.Origin.COLLECTED, **values)
        ingest.delay_on_commit(made.pk)
    return made
