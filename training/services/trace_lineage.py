"""Where a version comes from and where it went."""

from __future__ import annotations

from typing import Any

from datasets_app.models import Dataset
from models_app.models import LanguageModel
from training.models import TrainingJob

MOST_PARENTS = 20


def trace_lineage(*, model: LanguageModel) -> dict[str, Any]:
    """{dataset, base, parents, job, spec, seed, packages, hardware, weights_sha256, version, children, exports, hub, ollama}.

    What the run's manifest recorded counts before what is stored now: `dataset.content_hash` is that of the rows it learned from,
    `dataset.unchanged` whether the stored ones are still those (None when nobody can tell). Parts that are not known are None or
    empty: a base model has no job, a deleted job leaves what the manifest holds.
    """
    job = getattr(model, "produced_by", None)
    manifest = model.manifest
    return {
        "dataset": _dataset(job, manifest),
        "base": _base(model, manifest),
        "parents": _parents(model),
        "job": job,
        "spec": manifest.get("spec") or ({"config": job.config, "method": job.method} if job else {}),
        "seed": manifest.get("seed", job.config.get("seed") if job else None),
        "packages": manifest.get("packages") or {},
        "hardware": manifest.get("hardware") or {},
        "weights_sha256": manifest.get("weights_sha256") or (job.weights_sha256 if job else ""),
        "version": model,
        "children": list(model.derived.order_by("family", "version")[:50]),
        "exports": list(model.exports.all()),
        "hub": _hub(model),
        "ollama": list(model.ollama_copies.filter(made=True)),
    }


def _dataset(job: TrainingJob | None, manifest: dict[str, Any]) -> dict[str, Any] | None:
    recorded = (manifest.get("dataset") or {}).get("content_hash") or (job.inputs.get("dataset_hash") if job else "") or ""
    if job is None:
        return {"id": None, "name": "", "content_hash": recorded, "unchanged": None, "history": []} if recorded else None
    dataset = job.dataset
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "version": dataset.version,
        "rows": dataset.rows,
        "content_hash": recorded or dataset.content_hash,
        "unchanged": recorded == dataset.content_hash if recorded else None,
        "train_split": job.train_split,
        "eval_split": job.eval_split,
        "history": _history(dataset),
    }


def _history(dataset: Dataset) -> list[dict[str, Any]]:
    """The versions before it, newest first: what each was made by."""
    found: list[dict[str, Any]] = []
    while dataset and len(found) < MOST_PARENTS:
        known = {"id": dataset.pk, "version": dataset.version, "origin": dataset.origin, "content_hash": dataset.content_hash}
        found.append(known)
        dataset = dataset.parent  # type: ignore[assignment]
    return found


def _base(model: LanguageModel, manifest: dict[str, Any]) -> dict[str, Any] | None:
    base, recorded = model.base_model, manifest.get("base") or {}
    if base is None:
        return None
    revision = recorded.get("revision") or base.revision
    known = {"id": base.pk, "name": str(base), "repo_id": base.repo_id, "license": base.license}
    return {**known, "revision": revision, "unchanged": revision == base.revision}


def _parents(model: LanguageModel) -> list[LanguageModel]:
    """The models it was built on, the nearest first."""
    found: list[LanguageModel] = []
    while (model.base_model is not None) and len(found) < MOST_PARENTS:
        model = model.base_model
        found.append(model)
    return found


def _hub(model: LanguageModel) -> dict[str, Any] | None:
    if not model.push.get("commit"):
        return None
    return {name: model.push.get(name) for name in ("repo_id", "commit", "private", "merge", "at")} | {"url": model.hub_url}
