"""What a person's models take on the disk, and who needs them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count

from models_app.models import LanguageModel


@dataclass(frozen=True)
class Stored:
    """`removable` says whether nothing of the owner's needs the model; `ours` that its files are under DATA_DIR, not in the Hub cache."""

    model: LanguageModel
    versions: int
    jobs: int
    ours: bool

    @property
    def removable(self) -> bool:
        return not (self.versions or self.jobs)


@dataclass(frozen=True)
class Storage:
    """Bytes: of the owner's models, and of the disk that DATA_DIR is on."""

    stored: list[Stored]
    bytes: int
    free_bytes: int
    disk_bytes: int


def list_storage(*, owner: Any) -> Storage:
    """The owner's models that have files, the largest first."""
    rows = LanguageModel.objects.for_user(owner).filter(status=LanguageModel.Status.READY)
    rows = rows.annotate(versions=Count("derived", distinct=True), used=Count("jobs", distinct=True)).order_by("-bytes", "pk")
    stored = [Stored(row, row.versions, row.used, not row.path.startswith("/")) for row in rows]
    disk = shutil.disk_usage(settings.DATA_DIR)
    return Storage(stored, sum(item.model.bytes for item in stored if item.ours), disk.free, disk.total)
