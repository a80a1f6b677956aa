"""Home, and the pages for what went wrong."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from accounts.models import User
from accounts.person import person
from finetune.core.pages import render_page
from finetune.dashboard import queries
from finetune.dashboard.attention import troubles
from finetune.dashboard.next_step import next_step
from finetune.dashboard.queue_card import queue_card
from training.device_reports import worker_devices


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """A start page for a newcomer, else the overview; it polls its own fragment while something is going on."""
    user = person(request)
    counts = queries.counts(user)
    if not (counts["datasets"] or counts["models"] or counts["jobs"]["total"]):
        return render_page(request, "dashboard/home.html", {"newcomer": True})
    context = _overview(user) | {"counts": counts, "queue": queue_card(user), "devices": worker_devices()}
    return render_page(request, "dashboard/home.html", context, fragment="overview")


def _overview(user: User) -> dict[str, Any]:
    running = list(queries.running_jobs(user, limit=4))
    preparing = queries.being_prepared(user)
    sparklines = queries.sparklines(running)
    return {
        "running": [{"job": job, "sparkline": sparklines.get(job.pk)} for job in running],
        "preparing": preparing,
        "busy": bool(running or preparing),
        "next": None if preparing else next_step(user),
        "troubles": troubles(user),
        "recent_jobs": queries.recent_jobs(user),
        "recent_datasets": queries.recent_datasets(user),
        "recent_models": queries.recent_models(user),
    }


# Outside a view there is nobody else to say it in the API's own words.
API = ("/api/", "/v1/")
JSON_WORDS = {404: ("Not found.", "not_found"), 500: ("Something broke; it is in the server's log.", "internal")}


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if request.path.startswith(API):
        return _as_json(request, 404)
    context = {"title": "Nothing here", "text": "This page does not exist, or it belongs to somebody else."}
    return render_page(request, "error.html", context, status=404)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render_page(request, "error.html", {"title": "Not allowed", "text": "You may not do this."}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API):
        return _as_json(request, 500)
    context = {"title": "Something broke", "text": "It was our fault, and it is in the server's log. Try again."}
    return render_page(request, "error.html", context, status=500)


def _as_json(request: HttpRequest, status: int) -> HttpResponse:
    """`{detail, code}`, or what OpenAI's clients expect under /v1."""
    detail, code = JSON_WORDS[status]
    if request.path.startswith("/v1/"):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return JsonResponse({"error": {"message": detail, "type": kind, "param": None, "code": code}}, status=status)
    return JsonResponse({"detail": detail, "code": code}, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token does not fit: the session changed meanwhile, or it was sent from another site."""
    text = "The page was open for too long, or cookies are blocked. Go back, reload the page and send it again."
    return render_page(request, "error.html", {"title": "That form has expired", "text": text}, status=403)
