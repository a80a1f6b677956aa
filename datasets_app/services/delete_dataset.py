"""Delete a dataset and its files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from django.db import transaction
from django.db.models import ProtectedError

from datasets_app.models import Dataset
from finetune.core import storage
from finetune.core.errors import Conflict

ACTIVE = ("queued", "running", "cancelling")


def delete_dataset(*, dataset: Dataset) -> None:
    """Remove the row, then its files. Refuses (Conflict) while any job points to it: a queued or running one needs it, and
    what a finished one learned from must stay known."""
    refuse_in_use(dataset)
    if dataset.children.filter(status__in=(Dataset.Status.UPLOADED, Dataset.Status.VALIDATING)).exists():
        raise Conflict("The next version is being made from this one. Wait until that is done.", code="in_use")
    try:
        with transaction.atomic():
            remove = partial(_remove, dataset.directory, dataset.content_hash)
            dataset.delete()
            transaction.on_commit(remove)
    except ProtectedError:
        names = _names(dataset, ())
        raise Conflict(f"Jobs learned from this dataset: {names}. Delete them first.", code="in_use") from None


def _remove(directory: Path, content_hash: str) -> None:
    """The files, and the stored copy of the original unless another dataset has the same."""
    storage.remove_tree(directory)
    storage.forget_blob(content_hash)


def refuse_in_use(dataset: Dataset) -> None:
    """Conflict while a queued or running job reads this dataset."""
    if names := _names(dataset, ACTIVE):
        raise Conflict(f"A job that is queued or running uses this dataset: {names}. Cancel it or wait for its end.", code="in_use")


def _names(dataset: Dataset, statuses: tuple[str, ...]) -> str:
    """The first jobs by name; the jobs' app is above ours, so it is asked through the relation."""
    jobs = dataset.jobs.all()  # type: ignore[attr-defined]
    rows = jobs.filter(status__in=statuses) if statuses else jobs
    names = list(rows.order_by("pk").values_list("name", flat=True)[:4])
    return ", ".join(f"“{name}”" for name in names[:3]) + (" and more" if len(names) > 3 else "")
