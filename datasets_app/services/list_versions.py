"""A dataset's history: its versions and how each one's rows were divided, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from datasets_app.models import Dataset


@dataclass(frozen=True)
class Entry:
    """Something that happened: `what` is upload, fix, mixture or split; `dataset` is the version it made or divided."""

    what: str
    dataset: Dataset
    at: datetime
    by: str
    detail: dict[str, Any]


def list_versions(*, dataset: Dataset) -> list[Entry]:
    """All entries of the dataset's family, of the same owner. Refuses nothing."""
    versions: QuerySet[Dataset] = Dataset.objects.filter(family=dataset.family, owner=dataset.owner_id)
    entries = [entry for version in versions.select_related("owner", "parent") for entry in _entries(version)]
    return sorted(entries, key=lambda entry: (entry.at, entry.dataset.version), reverse=True)


def _entries(version: Dataset) -> list[Entry]:
    by = version.origin_detail.get("by") or version.owner.username
    made = Entry(version.origin, version, version.created_at, by, version.origin_detail)
    plan = version.split_plan
    at = parse_datetime(plan.get("at", "")) if plan else None
    return [made] if at is None else [made, Entry("split", version, at, plan.get("by") or by, plan)]
