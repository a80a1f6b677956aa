"""What a request names, looked up or put right: models, datasets, splits, names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from accounts.models import User
from accounts.tracker_accounts import KINDS, connected
from datasets_app.models import Dataset
from finetune.core.errors import invalid_field
from finetune.core.querysets import OwnedQuerySet


def find_owned(rows: OwnedQuerySet, owner: User, pk: int | None, field: str, word: str) -> Any:
    """The row with this id if it is the owner's. Somebody else's and a missing one are refused in the same words."""
    found = rows.for_user(owner).filter(pk=pk).first() if pk is not None else None
    if found is None:
        raise invalid_field(field, f"Choose one of your {word}s." if pk is None else f"There is no {word} {pk}.")
    return found


def default_split(dataset: Dataset) -> str:
    """The split to learn from when none is named."""
    return "train" if "train" in dataset.splits or not dataset.splits else next(iter(dataset.splits))


def checked_name(name: str) -> str:
    """The name without outer blanks; Invalid when nothing is left or it is too long."""
    name = name.strip()
    if not name:
        raise invalid_field("name", "Give it a name.")
    if len(name) > 200:
        raise invalid_field("name", "At most 200 characters.")
    return name


def checked_trackers(owner: User, kinds: Collection[str]) -> list[str]:
    """Experiment trackers by name, each once; Invalid for one that is unknown or where the owner has no account."""
    mine = connected(owner) if kinds else ()
    for kind in kinds:
        if kind not in KINDS:
            raise invalid_field("report_to", f"There is no tracker {kind!r}. Choose from: {', '.join(KINDS)}.")
        if kind not in mine:
            raise invalid_field("report_to", f"You have no account at {kind}. Save one in the settings, under Connections.")
    return sorted(set(kinds))
