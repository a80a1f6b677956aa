"""The pages about versions: their comparison and one version's lineage."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from finetune.core.errors import Invalid
from finetune.core.pages import render_page
from finetune.core.templatetags.ui import size
from models_app.evaluation_pages import METRICS
from training.api.versions import own_version, own_versions
from training.models import TrainingJob
from training.pages.compare import charts_of, colour_of
from training.services.compare_versions import compare_versions
from training.services.trace_lineage import trace_lineage
from training.spec_fields import option_label


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """The versions ticked in a history (?ids=1&ids=2) or named in a link (?ids=1,2)."""
    try:
        found = compare_versions(models=own_versions(request.user, request.GET.getlist("ids")))
    except Invalid as error:
        return render_page(request, "models/compare.html", {"reason": error.message}, status=400)
    runs = [
        {"id": model.pk, "name": str(model), "colour": colour_of(number), "url": reverse("model", args=[model.pk])}
        for number, model in enumerate(found["models"], 1)
    ]
    rows = {name: [row | {"label": option_label(row["field"])} for row in found[name]] for name in ("config_diff", "metrics_diff")}
    context: dict[str, Any] = {
        **rows,
        "models": list(zip(found["models"], found["jobs"], runs, strict=True)),
        "runs": runs,
        "charts": charts_of(found["curves"]),
        "curves": found["curves"],
        "samples": [
            row | {"answers": [(run["name"], text) for run, text in zip(runs, row["texts"], strict=True)]}
            for row in found["samples"]
        ],
        "evaluations": [_evaluated(group, [run["name"] for run in runs]) for group in found["evaluations"]],
        "datasets": list(zip(found["dataset_diffs"], found["models"], found["models"][1:], strict=False)),
    }
    return render_page(request, "models/compare.html", context)


def _evaluated(group: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The same with measures in words, links and each answer beside its version's name."""
    metrics = [
        {"label": METRICS[row["field"]][0], "values": [METRICS[row["field"]][1](value) for value in row["values"]]}
        for row in group["metrics"]
        if row["field"] in METRICS
    ]
    samples = [row | {"answers": list(zip(names, row["texts"], row["scores"], strict=True))} for row in group["samples"]]
    return group | {"metrics": metrics, "samples": samples, "columns": list(zip(names, group["evaluations"], strict=True))}


@require_GET
def lineage(request: HttpRequest, pk: int) -> HttpResponse:
    found = trace_lineage(model=own_version(request.user, pk))
    job = found["job"]
    config = (found["spec"] or {}).get("config") or {}
    context = {
        "line": found,
        "model": found["version"],
        "options": [(option_label(name), name, value) for name, value in config.items() if value not in (None, "")],
        "packages": sorted(found["packages"].items()),
        "hardware": [_in_words(name, value) for name, value in found["hardware"].items() if value],
        "reproducible": job is not None and job.status == TrainingJob.Status.SUCCEEDED,
        "reproductions": list(job.reproductions.all()[:10]) if job else [],
    }
    return render_page(request, "models/lineage.html", context)


def _in_words(name: str, value: Any) -> tuple[str, Any]:
    """A fact of the machine as people say it: memory_bytes 25276518400 is Memory 25.3 GB."""
    if name.endswith("_bytes"):
        name, value = name.removesuffix("_bytes"), size(value)
    words = name.replace("_", " ").replace("cpu", "CPU").replace("gpu", "GPU")
    return words[:1].upper() + words[1:], value
