"""A Hub repository as the API and the pages show it: with what it would mean on this installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from finetune.core.hub_models import HubModel
from models_app.hub_repo import untrainable
from models_app.inspect_model import context_length
from models_app.models import LanguageModel
from models_app.popular import USE_OF, USES

VERDICTS = ("ok", "tight", "too_big", "unknown")


@dataclass(frozen=True)
class Shown:
    """One result. `fit` is ok, tight, too_big or unknown, `fit_words` its reason; `devices` says it for each kind of device here and
    each method: [{name, count, memory_bytes, methods: [{method, verdict, needed_bytes}]}], the one that a run would use first.

    `reason` says why it is not trainable. `model_id` is the asker's own row of it, `local` whether its files are here, `weight_bytes`
    what its weights take on the disk, `use` what the curated list recommends it for.
    """

    repo_id: str
    author: str
    downloads: int | None
    likes: int | None
    updated_at: datetime | None
    task: str
    library: str
    parameters: int | None
    weight_bytes: int | None
    context_length: int | None
    gated: bool
    private: bool
    license: str
    tags: list[str]
    architecture: str
    trainable: bool
    reason: str
    fit: str
    fit_words: str
    devices: list[dict[str, Any]]
    local: bool
    model_id: int | None
    use: str

    @property
    def use_words(self) -> str:
        """What it is recommended for."""
        return USES.get(self.use, "")

    @property
    def on_first(self) -> list[tuple[str, list[str]]]:
        """(verdict, methods) on the device that a run would use, what fits best first."""
        methods = self.devices[0]["methods"]
        known = [(verdict, [each["method"] for each in methods if each["verdict"] == verdict]) for verdict in VERDICTS]
        return [(verdict, names) for verdict, names in known if names]


def show(owner: Any, found: list[HubModel], configs: dict[str, dict[str, Any]] | None = None) -> list[Shown]:
    """The repositories for this person. `configs` holds the config.json of those where it is known, for an exact fit."""
    mine = _mine(owner, [model.repo_id for model in found])
    return [_shown(model, mine.get(model.repo_id), (configs or {}).get(model.repo_id)) for model in found]


def _mine(owner: Any, names: list[str]) -> dict[str, LanguageModel]:
    """The newest row of each repository, a ready one first."""
    rows = LanguageModel.objects.for_user(owner).filter(kind=LanguageModel.Kind.BASE, repo_id__in=names).order_by("version")
    found: dict[str, LanguageModel] = {}
    for row in rows:
        if row.status == LanguageModel.Status.READY or row.repo_id not in found:
            found[row.repo_id] = row
    return found


def _shown(model: HubModel, row: LanguageModel | None, config: dict[str, Any] | None) -> Shown:
    reason = untrainable(model, allow_pickled=settings.ALLOW_PICKLE_MODELS)
    room = import_string(settings.MODEL_FIT)(model.parameters, config)
    return Shown(
        repo_id=model.repo_id,
        author=model.author,
        downloads=model.downloads,
        likes=model.likes,
        updated_at=model.updated_at,
        task=model.task,
        library=model.library,
        parameters=model.parameters,
        weight_bytes=model.weight_bytes,
        context_length=context_length(config or {}) or model.context_length,
        gated=model.gated,
        private=model.private,
        license=model.license,
        tags=model.tags,
        architecture=model.architecture,
        trainable=not reason,
        reason=reason,
        fit=room["verdict"],
        fit_words=room["words"],
        devices=room["devices"],
        local=row is not None and row.status == LanguageModel.Status.READY,
        model_id=row.pk if row else None,
        use=USE_OF.get(model.repo_id, ""),
    )
