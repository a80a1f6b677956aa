"""OpenAI's `integrations` as trackers, and back: [{type: "wandb", wandb: {project, entity, name, tags}}]. MLflow in the same shape."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from accounts.tracker_accounts import KINDS
from finetune.core.errors import Invalid, invalid_field
from training.api.serializers import TrackerPlaceSerializer
from training.models import TrainingJob
from training.tracker_places import checked_reports


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
    if not isinstance(given, dict) or not given.get("project"):
        raise _wrong(f"{kind}: name its project: {{“type”: “{kind}”, “{kind}”: {{“project”: “…”}}}}.")
    shape = TrackerPlaceSerializer(data={name: value for name, value in given.items() if value is not None})
    if not shape.is_valid():
        raise _wrong(f"{kind}: {_first(shape.errors)}")
    return dict(shape.validated_data)


def _first(errors: dict[str, Any]) -> str:
    """The first refusal in words, with its field."""
    name, said = next(iter(errors.items()))
    while isinstance(said, dict | list):
        said = next(iter(said.values() if isinstance(said, dict) else said))
    return f"{name}: {said}"


def _wrong(words: str) -> Exception:
    return invalid_field("integrations", words)


def their_integrations(job: TrainingJob) -> list[dict[str, Any]]:
    """An empty project is that of the owner's account."""
    return [{"type": kind, kind: {"project": "", **job.tracker_places.get(kind, {})}} for kind in job.report_to]
