"""Agree to the mapping that was taken by the columns' names."""

from __future__ import annotations

from django.utils import timezone

from datasets_app.models import Dataset
from finetune.core.errors import Conflict

S = Dataset.Status


def confirm_mapping(*, dataset: Dataset) -> Dataset:
    """The taken mapping becomes the dataset's own; its rows were read with it already, so nothing is read again.

    Conflict when there is none to agree to: a mapping was given, the shape needed none, or the file is being read.
    """
    taken = dataset.report.get("suggestion")
    if not taken or dataset.mapping or not dataset.move(S.READY, when=(S.READY,), mapping=taken, updated_at=timezone.now()):
        raise Conflict("There is no mapping to confirm: none was taken by the columns' names.")
    return dataset
