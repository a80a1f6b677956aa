"""The list of jobs."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.errors import Invalid
from finetune.core.pages import page_of, render_page
from finetune.core.templatetags.ui import executor_words, method_words
from training.engine.spec import METHODS
from training.executors import EXECUTORS
from training.filters import filter_jobs
from training.models import JobQuerySet, TrainingJob
from training.queue import with_positions

SORTS = {
    "-created_at": "Newest first",
    "created_at": "Oldest first",
    "name": "Name",
    "-started_at": "Last started",
    "-finished_at": "Last finished",
}


@require_GET
def jobs(request: HttpRequest) -> HttpResponse:
    """The list; htmx asks for the table alone, every few seconds while something moves."""
    mine = TrainingJob.objects.for_user(request.user)
    page = page_of(request, _wanted(request, mine))
    page.object_list = with_positions(page.object_list)
    context = {
        "page": page,
        "any": mine.exists(),
        "busy": any(job.is_active for job in page),
        "statuses": TrainingJob.Status.choices,
        "methods": [(name, method_words(name)) for name in METHODS],
        "sorts": SORTS,
    }
    if not request.htmx:  # type: ignore[attr-defined]  # a fragment has no filters
        context |= _choices(mine)
    return render_page(request, "training/list.html", context, fragment="results")


def _choices(mine: JobQuerySet) -> dict[str, Any]:
    """What the other filters offer: the models and datasets that jobs were made with, and the executors."""
    plain = mine.order_by().distinct()
    return {
        "models": sorted(plain.values_list("model_id", "model__name"), key=lambda pair: pair[1].lower()),
        "datasets": sorted(plain.values_list("dataset_id", "dataset__name"), key=lambda pair: pair[1].lower()),
        "executors": [(name, executor_words(name)) for name in EXECUTORS],
    }


def _wanted(request: HttpRequest, rows: JobQuerySet) -> JobQuerySet:
    """What search, filters and order leave; a filter value that can't be is ignored on a page."""
    rows = rows.for_list()
    try:
        rows = filter_jobs(rows, request.GET)
    except Invalid:
        return rows
    if words := request.GET.get("search", "").strip():
        rows = rows.filter(Q(name__icontains=words) | Q(model__name__icontains=words) | Q(dataset__name__icontains=words))
    sort = request.GET.get("ordering", "")
    return rows.order_by(sort, "-pk") if sort in SORTS else rows
