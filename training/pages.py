"""The training pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finetune.core.errors import DomainError, Invalid
from finetune.core.pages import page_of, refuse, render_page
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.api.serializers import job_status
from training.engine.sample import SAMPLE_CONFIG
from training.engine.spec import METHODS
from training.filters import filter_jobs
from training.forms import JobForm
from training.models import JobQuerySet, TrainingJob
from training.services.cancel_job import cancel_job
from training.services.clone_job import clone_job
from training.services.create_job import create_job
from training.services.create_sample import create_sample
from training.services.delete_job import delete_job
from training.services.estimate_job import Advice, estimate_job
from training.services.resume_job import resume_job
from training.services.start_job import start_job
from training.spec_fields import form_text

SORTS = {
    "-created_at": "Newest first",
    "created_at": "Oldest first",
    "name": "Name",
    "-started_at": "Last started",
    "-finished_at": "Last finished",
}
DETAIL_FRAGMENTS = {"job-head": "head", "job-facts": "facts"}


def _job(request: HttpRequest, pk: int) -> TrainingJob:
    rows = TrainingJob.objects.for_user(request.user).select_related("model__base_model", "dataset", "output_model", "owner")
    return get_object_or_404(rows, pk=pk)


# --- Looking -------------------------------------------------------------------------------------


@require_GET
def jobs(request: HttpRequest) -> HttpResponse:
    """The list; htmx asks for the table alone, every few seconds while something moves."""
    mine = TrainingJob.objects.for_user(request.user)
    page = page_of(request, _wanted(request, mine))
    context = {
        "page": page,
        "any": mine.exists(),
        "busy": any(job.is_active for job in page),
        "statuses": TrainingJob.Status.choices,
        "methods": [(name, method_words(name)) for name in METHODS],
        "sorts": SORTS,
    }
    return render_page(request, "training/list.html", context, fragment="results")


def _wanted(request: HttpRequest, rows: JobQuerySet) -> JobQuerySet:
    """What search, filters and order leave; a filter value that can't be is ignored on a page."""
    rows = rows.select_related("model", "dataset").with_queue_position()
    try:
        rows = filter_jobs(rows, request.GET)
    except Invalid:
        return rows
    if words := request.GET.get("search", "").strip():
        rows = rows.filter(Q(name__icontains=words) | Q(model__name__icontains=words) | Q(dataset__name__icontains=words))
    sort = request.GET.get("ordering", "")
    return rows.order_by(sort, "-pk") if sort in SORTS else rows


@require_GET
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """One job; live.js follows it."""
    found = _job(request, pk)
    fragment = DETAIL_FRAGMENTS.get(request.headers.get("HX-Target", ""), "")
    context = {"job": found, "status": job_status(found)}
    return render_page(request, "training/detail.html", context, fragment=fragment)


# --- A new job -----------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form. GET takes ?model=, ?dataset=, ?method=, ?from=<job>, and any field; htmx asks again when the method changes."""
    if request.method == "GET":
        form = _blank_form(request)
        return _new_page(request, form)
    form = JobForm(request.POST, owner=request.user, method=_method(request.POST))  # type: ignore[arg-type]
    if form.is_valid():
        try:
            created = create_job(owner=request.user, start="start" in request.POST, **form.job_values())  # type: ignore[arg-type, misc]
            return redirect("job", created.pk)
        except DomainError as error:
            refuse(form, error)
    return _new_page(request, form, status=422)


def _blank_form(request: HttpRequest) -> JobForm:
    initial: dict[str, Any] = _copied(request) | request.GET.dict()
    for short, field in (("model", "model_id"), ("dataset", "dataset_id")):
        if short in initial:
            initial[field] = initial.pop(short)
    form = JobForm(owner=request.user, method=_method(initial), initial=initial)  # type: ignore[arg-type]
    for field in ("model_id", "dataset_id"):  # with one to choose from there is nothing to choose
        choices = form.fields[field].queryset  # type: ignore[attr-defined]
        if field not in initial and len(choices[:2]) == 1:
            form.initial[field] = choices[0].pk
    form.initial = {**_sample_values(request, form.initial), **form.initial}
    return form


def _sample_values(request: HttpRequest, initial: Mapping[str, Any]) -> dict[str, str]:
    """What suits the sample model when it is the one chosen: it is so small that it needs larger steps than others."""
    chosen = str(initial.get("model_id", ""))
    samples = LanguageModel.objects.for_user(request.user).filter(source=LanguageModel.Source.SAMPLE, kind=LanguageModel.Kind.BASE)
    if initial.get("method") != "lora" or "from" in initial or not chosen.isdecimal() or not samples.filter(pk=chosen).exists():
        return {}
    return {name: form_text(value) for name, value in SAMPLE_CONFIG.items()}


def _copied(request: HttpRequest) -> dict[str, Any]:
    """The values of the job named by ?from=, so that it can be changed before it is made again."""
    text = request.GET.get("from", "")
    if not text.isdecimal():
        return {}
    source = _job(request, int(text))
    config = {name: form_text(value) for name, value in source.config.items()}
    return {"name": source.name, "method": source.method, "model_id": source.model_id, "dataset_id": source.dataset_id, **config}


def _method(values: Any) -> str:
    chosen = values.get("method", "")
    return chosen if chosen in METHODS else next(iter(METHODS))


def _new_page(request: HttpRequest, form: JobForm, *, status: int = 200) -> HttpResponse:
    missing = _missing(form)
    context = {"form": form, "missing": missing, "making": bool(missing) and _sample_is_being_made(request)}
    return render_page(request, "training/new.html", context, fragment="options", status=status)


def _sample_is_being_made(request: HttpRequest) -> bool:
    mine = LanguageModel.objects.for_user(request.user)
    return mine.filter(source=LanguageModel.Source.SAMPLE, status=LanguageModel.Status.DOWNLOADING).exists()


@require_POST
def estimate(request: HttpRequest) -> HttpResponse:
    """What the job in the form would need; htmx asks again while the form changes. Nothing is stored or refused here."""
    form = JobForm(request.POST, owner=request.user, method=_method(request.POST))  # type: ignore[arg-type]
    context: dict[str, Any] = {"form": form, "missing": _missing(form)}
    if form.is_valid():
        values = {key: value for key, value in form.job_values().items() if key != "name"}
        try:
            found = estimate_job(owner=request.user, **values)  # type: ignore[arg-type, misc]
            context |= {"estimate": found, "advice": [_applicable(item) for item in found.advice]}
        except DomainError as error:
            context["reason"] = error.message
    return render_page(request, "training/new.html", context, fragment="estimate")


def _applicable(advice: Advice) -> dict[str, str]:
    """The advice with the form values that follow it, for one click."""
    values = {name: form_text(value) for name, value in advice.config.items()}
    return {"text": advice.text, "values": json.dumps(values | ({"method": advice.method} if advice.method else {}))}


def _missing(form: JobForm) -> str:
    """Why nothing can be started yet, or nothing."""
    models = form.fields["model_id"].queryset.exists()  # type: ignore[attr-defined]
    datasets = form.fields["dataset_id"].queryset.exists()  # type: ignore[attr-defined]
    if models and datasets:
        return ""
    both = not models and not datasets
    return "a base model and a dataset" if both else "a dataset" if models else "a base model"


# --- Moves ---------------------------------------------------------------------------------------


@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", start_job(job=_job(request, pk)).pk)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", cancel_job(job=_job(request, pk)).pk)


@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", resume_job(job=_job(request, pk)).pk)


@require_POST
def clone(request: HttpRequest, pk: int) -> HttpResponse:
    return redirect("job", clone_job(job=_job(request, pk)).pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    gone = _job(request, pk)
    delete_job(job=gone)
    messages.success(request, f"“{gone.name}” was deleted.")
    return redirect("jobs")


@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    """Make the sample model and dataset; the start page shows how far they are."""
    create_sample(owner=request.user)  # type: ignore[arg-type]
    messages.success(request, "The sample is being made: a small base model and a dataset. It takes some seconds.")
    return redirect("home")
