"""Whatever can be asked: a model or version of a person's (`model-12`), or a checkpoint of one of their jobs (`job-5-step-40`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings

from finetune.core.errors import invalid_field
from models_app.models import LanguageModel
from models_app.services.try_prompt import checkpoint_weights, weights_of

MODEL = re.compile(r"model-(\d{1,18})\Z")
CHECKPOINT = re.compile(r"job-(\d{1,18})-step-(\d{1,18})\Z")


@dataclass(frozen=True)
class Source:
    """What a reference stands for. `family` groups versions of one thing, `weights` are directories for the inference worker."""

    ref: str
    name: str
    family: str
    model_id: int | None
    weights: dict[str, str | None]


def find_sources(user: Any, refs: list[str], *, field: str = "sources") -> list[Source]:
    """The person's own, in the order named; Invalid, naming the field, for anything else, Conflict for what is not ready."""
    models = _models(user, refs)
    return [_find(user, ref, models, field) for ref in refs]


def _models(user: Any, refs: list[str]) -> dict[int, LanguageModel]:
    ids = [int(found[1]) for ref in refs if (found := MODEL.match(ref))]
    return LanguageModel.objects.for_user(user).select_related("base_model").in_bulk(ids) if ids else {}


def _find(user: Any, ref: str, models: dict[int, LanguageModel], field: str) -> Source:
    if found := MODEL.match(ref):
        model = models.get(int(found[1]))
        if model:
            return Source(ref, str(model), model.family, model.pk, weights_of(model))
    elif found := CHECKPOINT.match(ref):
        job = _checkpoints().find_base(user, int(found[1]))
        if job:
            name, base = job
            weights = checkpoint_weights(int(found[1]), int(found[2]), base)
            return Source(ref, f"{name}, step {found[2]}", name, None, weights)
    raise invalid_field(field, f"There is no “{ref[:40]}” of yours. Name models as model-12 and checkpoints as job-5-step-40.")


def list_sources(user: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """[(group, [(ref, name)])] of everything a person can ask now: tuned versions, bases, and the checkpoints of each job."""
    ready = LanguageModel.objects.for_user(user).filter(status=LanguageModel.Status.READY).order_by("family", "-version")
    groups: dict[str, list[tuple[str, str]]] = {"Versions": [], "Base models": []}
    for model in ready:
        groups["Base models" if model.kind == LanguageModel.Kind.BASE else "Versions"].append((f"model-{model.pk}", str(model)))
    for job in _checkpoints().list_kept(user):
        steps = [(f"job-{job['job']}-step-{step}", f"{job['name']}, step {step}") for step in job["steps"]]
        groups[f"Checkpoints of {job['name']} (training {job['job']})"] = steps
    return [(group, choices) for group, choices in groups.items() if choices]


def _checkpoints() -> Any:
    return import_module(settings.CHECKPOINTS_MODULE)
