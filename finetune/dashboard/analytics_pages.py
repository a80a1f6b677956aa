"""The analytics page, and each of its tables as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from rest_framework.exceptions import ValidationError

from finetune.core.pages import render_page
from finetune.dashboard.analytics import PERIODS, Chosen, analyse, choices
from finetune.dashboard.analytics_form import chosen_in

TABLES = (
    "jobs_per_day",
    "training_seconds_by_method",
    "loss_by_method",
    "cost_by_executor",
    "cost_by_method",
    "cost_by_user",
    "estimates",
    "top_models",
)


@require_GET
def analytics(request: HttpRequest) -> HttpResponse:
    refusal, chosen = "", Chosen()
    try:
        chosen = chosen_in(request.GET)
    except ValidationError:
        refusal = "That period or filter makes no sense; the last 30 days are shown."
    found = analyse(request.user, chosen)
    context = {"found": found, "chosen": chosen, "choices": choices(request.user), "periods": PERIODS, "refusal": refusal}
    return render_page(request, "dashboard/analytics.html", context)


@require_GET
def table(request: HttpRequest, name: str) -> HttpResponse:
    """One of TABLES, unrounded, under the same filters. Other people's costs are there for operators only."""
    if name == "cost_by_user" and not request.user.is_staff:
        raise Http404
    try:
        rows = analyse(request.user, chosen_in(request.GET))[name]
    except ValidationError:
        return HttpResponse("days: from 1 to 366. model_id: a number.", status=400, content_type="text/plain")
    answer = HttpResponse(_csv(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _csv(rows: list[dict[str, Any]]) -> str:
    """A cell that a spreadsheet would take for a formula is given as text."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
