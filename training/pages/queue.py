"""The queue's page, and what operators do there."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from accounts.limits import limits_of
from accounts.person import person
from finetune.core.errors import invalid_field
from finetune.core.pages import render_page
from training.models import TrainingJob
from training.services.admit_worker import admit_worker
from training.services.drain_worker import drain_worker
from training.services.list_workers import list_workers
from training.services.move_up_job import move_up_job
from training.services.open_queue import open_queue
from training.services.pause_queue import pause_queue
from training.services.read_queue import read_queue
from training.services.set_priority import set_priority


@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Who runs, who waits, and when it is whose turn; htmx asks for the lines alone."""
    user = person(request)
    context = {
        "queue": read_queue(user=user),
        "limits": limits_of(user),
        "workers": list_workers(by=user) if user.is_staff else [],
        "priorities": [choice for choice in TrainingJob.Priority.choices if user.is_staff or choice[0] <= 0],
    }
    return render_page(request, "training/queue.html", context, fragment="lines")


@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    pause_queue(by=person(request), reason=request.POST.get("reason", ""))
    return redirect("queue")


@require_POST
def open_again(request: HttpRequest) -> HttpResponse:
    open_queue(by=person(request))
    return redirect("queue")


@require_POST
def drain(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("worker", "")
    drain_worker(by=person(request), name=name)
    messages.success(request, f"{name} takes nothing new and finishes what it follows.")
    return redirect("queue")


@require_POST
def admit(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("worker", "")
    admit_worker(by=person(request), name=name)
    messages.success(request, f"{name} takes jobs again.")
    return redirect("queue")


@require_POST
def move_up(request: HttpRequest, pk: int) -> HttpResponse:
    moved = move_up_job(job=_reachable(request, pk), by=person(request))
    messages.success(request, f"“{moved.name}” is at the front of the queue.")
    return redirect("queue")


@require_POST
def priority(request: HttpRequest, pk: int) -> HttpResponse:
    text = request.POST.get("priority", "")
    job = _reachable(request, pk)
    if text.removeprefix("-") not in ("0", "1"):
        raise invalid_field("priority", "Choose 1 (high), 0 (normal) or -1 (low).")
    set_priority(job=job, priority=int(text), by=person(request))
    return redirect("queue")


def _reachable(request: HttpRequest, pk: int) -> TrainingJob:
    """An operator's any job, everybody else's own; 404 for a stranger."""
    return get_object_or_404(TrainingJob.objects.for_operator(request.user), pk=pk)
