"""One job: looking at it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.pages import render_page
from training.api.serializers import job_status
from training.pages.own import own_job

DETAIL_FRAGMENTS = {"job-head": "head", "job-facts": "facts"}


@require_GET
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """One job; live.js follows it."""
    found = own_job(request, pk)
    fragment = DETAIL_FRAGMENTS.get(request.headers.get("HX-Target", ""), "")
    context = {"job": found, "status": job_status(found)}
    return render_page(request, "training/detail.html", context, fragment=fragment)
