"""Remove an export and its files."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from finetune.core import storage
from finetune.core.errors import Conflict
from models_app.models import Export
from models_app.services.export_model import ACTIVE


def delete_export(*, export: Export) -> None:
    """Delete the row and, after the commit, the files. Conflict while it is being made."""
    with transaction.atomic():
        if not Export.objects.filter(pk=export.pk).exclude(status__in=ACTIVE).delete()[0]:
            raise Conflict("This export is being made. Cancel it first.", code="export_busy")
        transaction.on_commit(partial(storage.remove_tree, storage.export_dir(export.pk)), robust=True)
