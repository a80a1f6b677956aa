"""Where a job's curves go at a tracker, when that is not what its owner's account says: {kind: {project, entity, name, tags}}."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from accounts.models import User
from accounts.tracker_accounts import PLACE, PLACE_WORDS
from finetune.core.errors import invalid_field
from training.choices import checked_trackers
from training.models import TrainingJob

TAG = re.compile(r"[\w :./-]{1,64}", re.ASCII)
MOST_TAGS = 20
LONGEST_NAME = 200
DEFAULT_PROJECT = "aifinetune"
ENTITY_KIND = "wandb"  # MLflow has no teams


@dataclass(frozen=True)
class Place:
    """`project` is MLflow's experiment; an empty `entity` is the account's own."""

    project: str
    entity: str
    name: str
    tags: list[str] = field(default_factory=list)


def place_of(job: TrainingJob, account: dict[str, Any], kind: str) -> Place:
    """What the job says, then what the account says (its `info`), then our defaults."""
    said = job.tracker_places.get(kind, {})
    project = said.get("project") or account.get("project") or DEFAULT_PROJECT
    return Place(project, said.get("entity") or account.get("entity", ""), said.get("name") or job.name, said.get("tags", []))


def checked_reports(owner: User, kinds: Collection[str], places: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A job's `report_to` and `tracker_places`. Refuses what checked_trackers and checked_places refuse."""
    return {"report_to": checked_trackers(owner, kinds), "tracker_places": checked_places(kinds, places)}


def checked_places(kinds: Collection[str], places: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`places` without what is empty. Invalid, naming the tracker: one the job does not report to, a value that is none."""
    checked = {}
    for kind, place in places.items():
        if kind not in kinds:
            raise invalid_field("tracker_places", f"{kind}: name it in report_to, too, or leave it out here.")
        said = {name: value.strip() if isinstance(value, str) else value for name, value in place.items()}
        if wrong := _problem(kind, said):
            raise invalid_field("tracker_places", f"{kind}: {wrong}")
        checked[kind] = {name: value for name, value in said.items() if value}
    return {kind: place for kind, place in checked.items() if place}


def _problem(kind: str, place: dict[str, Any]) -> str:
    """Why this can't be a place there; empty when it can."""
    for name in ("project", "entity"):
        if not PLACE.fullmatch(place.get(name) or ""):
            return f"{name}: {PLACE_WORDS}"
    if place.get("entity") and kind != ENTITY_KIND:
        return "entity: only Weights & Biases has teams. Leave it out."
    if len(place.get("name") or "") > LONGEST_NAME:
        return f"name: at most {LONGEST_NAME} characters."
    tags = place.get("tags") or []
    if len(tags) > MOST_TAGS or not all(TAG.fullmatch(tag) for tag in tags):
        return f"tags: at most {MOST_TAGS}, each of letters, digits, spaces and . : / - _, at most 64."
    return ""
