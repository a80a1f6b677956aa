"""Rows and files belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets_app.models import ROWS, Dataset
from finetune.core import storage, store
from finetune.core.templatetags.ui import size
from finetune.operations.findings import OK, WARN, Finding
from models_app.models import Export, LanguageModel
from training.models import TrainingJob

NAME = "orphans"
FOLDERS: dict[str, Any] = {"datasets": Dataset, "models": LanguageModel, "exports": Export, "runs": TrainingJob}
READY: dict[str, tuple[Any, Callable[[Any], Path]]] = {
    "datasets": (Dataset.objects.filter(status=Dataset.Status.READY), lambda row: row.directory / ROWS),
    "models": (LanguageModel.objects.filter(status=LanguageModel.Status.READY), lambda row: row.place),
}


def examine() -> Iterator[Finding]:
    found = [*_files_without_rows(), *_rows_without_files()]
    yield from found or [Finding(NAME, OK, "Every directory has its row, and every ready dataset and model its files.")]


def _files_without_rows() -> Iterator[Finding]:
    for name, model in FOLDERS.items():
        folders = {int(path.name): path for path in (settings.DATA_DIR / name).glob("[0-9]*") if path.name.isdigit()}
        known = set(model.objects.values_list("pk", flat=True))
        lost = [folders[pk] for pk in sorted(folders.keys() - known)]
        if lost:
            number = sum(storage.tree_bytes(path) for path in lost)
            names = ", ".join(path.name for path in lost[:5])
            text = (
                f"{len(lost)} directories under {name}/ belong to no row ({size(number)}): {names}{' …' if len(lost) > 5 else ''}."
            )
            yield Finding(NAME, WARN, text, f"Delete them in {settings.DATA_DIR / name} if a restore did not just lose their rows.")


def _rows_without_files() -> Iterator[Finding]:
    for name, (rows, place) in READY.items():
        shared = store.published(settings.DATA_DIR / name)
        places = ((row.pk, place(row)) for row in rows.order_by("pk").iterator())
        lost = [str(pk) for pk, path in places if path not in shared and not path.exists()]
        if lost:
            text = f"{len(lost)} {name} say that they are ready and have no files: {', '.join(lost[:5])}{' …' if len(lost) > 5 else ''}."
            yield Finding(NAME, WARN, text, "Restore a backup, or delete them in the product; jobs on them will fail.")
