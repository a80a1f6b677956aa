"""What can be done to a job with a button."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from finetune.core.errors import DomainError, invalid_field
from training.pages.job import job_page
from training.pages.own import own_job
from training.services.cancel_job import cancel_job
from training.services.clone_job import clone_job
from training.services.create_sample import create_sample
from training.services.delete_job import delete_job
from training.services.reproduce_job import reproduce_job
from training.services.resume_job import resume_job
from training.services.send_again import send_again
from training.services.start_job import start_job
from training.services.update_job import update_job

# What the job's page asks about instead of only refusing it.
ABOUT_MONEY = {"budget_too_small", "spending_limit", "confirm_cost"}


@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """With the budget and the yes of the page's form, where it has one."""
    job = own_job(request, pk)
    try:
        if "budget" in request.POST:
            job = update_job(job=job, budget=request.POST["budget"])
        return redirect("job", start_job(job=job, confirm_cost="confirm_cost" in request.POST).pk)
    except DomainError as error:
        return _ask_about_money(request, pk, error)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", cancel_job(job=own_job(request, pk)).pk)


@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """From the newest checkpoint, or from the one whose step is sent along; with a new budget and a yes, where the page's form has them."""
    job, step = own_job(request, pk), request.POST.get("checkpoint", "")
    if step and not step.isdecimal():
        raise invalid_field("checkpoint", "Name a checkpoint by its step.")
    values: dict[str, Any] = {"budget": request.POST["budget"]} if "budget" in request.POST else {}
    values["confirm_cost"] = "confirm_cost" in request.POST
    try:
        return redirect("job", resume_job(job=job, checkpoint=int(step) if step else None, **values).pk)
    except DomainError as error:
        return _ask_about_money(request, pk, error)


def _ask_about_money(request: HttpRequest, pk: int, error: DomainError) -> HttpResponse:
    """The job's page with what was refused in its form; a refusal that is not about money goes its usual way."""
    if error.code not in ABOUT_MONEY and "budget" not in error.fields:
        raise error
    return job_page(request, own_job(request, pk), status=422, refusal=error, typed=request.POST)


@require_POST
def reproduce(request: HttpRequest, pk: int) -> HttpResponse:
    again = reproduce_job(job=own_job(request, pk))
    messages.success(request, "The same run once more. At its end this page says whether the weights are the same.")
    return redirect("job", again.pk)


@require_POST
def clone(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", clone_job(job=own_job(request, pk)).pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    gone = own_job(request, pk)
    delete_job(job=gone)
    messages.success(request, f"“{gone.name}” was deleted.")
    return redirect("jobs")


@require_POST
def send_to_trackers(request: HttpRequest, pk: int) -> HttpResponse:
    number = send_again(job=own_job(request, pk))
    messages.success(request, f"Its curves go to {number} tracker{'' if number == 1 else 's'} again.")
    return redirect("job", pk)


@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    """Make the sample model and dataset; the start page shows how far they are."""
    create_sample(owner=request.user)  # type: ignore[arg-type]
    messages.success(request, "The sample is being made: a small base model and a dataset. It takes some seconds.")
    return redirect("home")
