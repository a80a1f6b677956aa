"""OpenAI's `integrations` as trackers, and back: [{type: "wandb", wandb: {project, entity, name, tags}}]. MLflow in the same shape."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from accounts.tracker_accounts import KINDS
from finetune.core.errors import Invalid, invalid_field
from training.models import TrainingJob
from training.tracker_places import checked_reports

TEXTS = ("project", "entity", "name")


def our_trackers(owner: User, integrations: list[dict[str, Any]] | None) -> dict[str, Any]:
    """create_job's `report_to` and `tracker_places`. Invalid (`integrations`) for another shape, and for what that verb refuses."""
    places: dict[str, dict[str, Any]] = {}
    for item in integrations or []:
        kind = item.get("type")
        if kind not in KINDS:
            raise _wrong(f"There is no integration “{str(kind)[:40]}” here. Choose one of: {', '.join(KINDS)}.")
        if kind in places:
            raise _wrong(f"“{kind}” is there twice. Name it once.")
        if set(item) - {"type", kind}:
            raise _wrong(f"Say {{“type”: “{kind}”, “{kind}”: {{“project”: “…”}}}} and nothing beside it.")
        places[kind] = _place(kind, item.get(kind))
    try:
        return checked_reports(owner, places, places)
    except Invalid as error:
        raise invalid_field("integrations", error.message, code=error.code) from None


def _place(kind: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("project"), str):
        raise _wrong(f"{kind}: name its project: {{“type”: “{kind}”, “{kind}”: {{“project”: “…”}}}}.")
    if unknown := sorted(set(given) - {*TEXTS, "tags"}):
        raise _wrong(f"{kind}: it has no “{unknown[0][:40]}”. It takes {', '.join((*TEXTS, 'tags'))}.")
    place = {name: value for name, value in given.items() if value is not None}
    if not all(isinstance(place.get(name, ""), str) for name in TEXTS):
        raise _wrong(f"{kind}: {', '.join(TEXTS)} are texts.")
    tags = place.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _wrong(f"{kind}: tags is a list of texts.")
    return place


def _wrong(words: str) -> Exception:
    return invalid_field("integrations", words)


def their_integrations(job: TrainingJob) -> list[dict[str, Any]]:
    """An empty project is that of the owner's account."""
    return [{"type": kind, kind: {"project": "", **job.tracker_places.get(kind, {})}} for kind in job.report_to]
