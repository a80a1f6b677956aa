"""Several runs beside each other."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.errors import Invalid
from finetune.core.pages import render_page
from training.api.compare import named_jobs
from training.services.compare_jobs import compare_jobs
from training.spec_fields import option_label


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """The jobs ticked in the list (?ids=1&ids=2) or named in a link (?ids=1,2)."""
    try:
        found = compare_jobs(jobs=named_jobs(request.user, request.GET.getlist("ids")))
    except Invalid as error:
        return render_page(request, "training/compare.html", {"reason": error.message}, status=400)
    context: dict[str, Any] = {
        "jobs": found["jobs"],
        "config_diff": [row | {"label": option_label(row["field"])} for row in found["config_diff"]],
        "metrics_diff": [row | {"label": option_label(row["field"])} for row in found["metrics_diff"]],
        "curves": found["curves"],
    }
    return render_page(request, "training/compare.html", context)
