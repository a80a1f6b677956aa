"""Several runs beside each other."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from finetune.core.errors import Invalid
from finetune.core.pages import render_page
from training.api.compare import named_jobs
from training.services.compare_jobs import compare_jobs
from training.spec_fields import option_label

# Name, title, split and key of what can be overlaid; the first two are drawn large.
CURVES = (
    ("loss", "Train loss", "train", "loss"),
    ("eval_loss", "Eval loss", "eval", "eval_loss"),
    ("learning_rate", "Learning rate", "train", "learning_rate"),
    ("grad_norm", "Gradient norm", "train", "grad_norm"),
    ("tokens_per_second", "Tokens per second", "train", "tokens_per_second"),
    ("accuracy", "Token accuracy", "train", "mean_token_accuracy"),
    ("margins", "Reward margin", "train", "rewards/margins"),
    ("reward_accuracy", "Reward accuracy", "train", "rewards/accuracies"),
)


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """The jobs ticked in the list (?ids=1&ids=2) or named in a link (?ids=1,2)."""
    try:
        found = compare_jobs(jobs=named_jobs(request.user, request.GET.getlist("ids")))
    except Invalid as error:
        return render_page(request, "training/compare.html", {"reason": error.message}, status=400)
    runs = [
        {"id": job.pk, "name": job.name, "colour": colour_of(number), "url": reverse("job", args=[job.pk])}
        for number, job in enumerate(found["jobs"], 1)
    ]
    context: dict[str, Any] = {
        "jobs": list(zip(found["jobs"], runs, strict=True)),
        "runs": runs,
        "charts": charts_of(found["curves"]),
        "config_diff": [row | {"label": option_label(row["field"])} for row in found["config_diff"]],
        "metrics_diff": [row | {"label": option_label(row["field"])} for row in found["metrics_diff"]],
        "curves": found["curves"],
    }
    return render_page(request, "training/compare.html", context)


def colour_of(number: int) -> str:
    """The name of the line's colour (app.css); after eight they come again, with other dashes (compare.js)."""
    return f"c{(number - 1) % 8 + 1}"


def charts_of(curves: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One chart for every value worth drawing that a run has: {name, title, split, key}."""
    known = {key for curve in curves for point in curve["points"] for key in point["values"]}
    return [{"name": name, "title": title, "split": split, "key": key} for name, title, split, key in CURVES if key in known]
