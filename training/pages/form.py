"""The form of a new job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from models_app.models import LanguageModel
from training.engine.sample import SAMPLE_CONFIG
from training.engine.spec import METHODS
from training.forms import JobForm
from training.pages.own import own_job
from training.services.create_job import create_job
from training.services.estimate_job import Advice, estimate_job
from training.spec_fields import form_text


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
    return {name: form_text(value, name) for name, value in SAMPLE_CONFIG.items()}


def _copied(request: HttpRequest) -> dict[str, Any]:
    """The values of the job named by ?from=, so that it can be changed before it is made again."""
    text = request.GET.get("from", "")
    if not text.isdecimal():
        return {}
    source = own_job(request, int(text))
    config = {name: form_text(value, name) for name, value in source.config.items()}
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
    values = {name: form_text(value, name) for name, value in advice.config.items()}
    return {"text": advice.text, "values": json.dumps(values | ({"method": advice.method} if advice.method else {}))}


def _missing(form: JobForm) -> str:
    """Why nothing can be started yet, or nothing."""
    models = form.fields["model_id"].queryset.exists()  # type: ignore[attr-defined]
    datasets = form.fields["dataset_id"].queryset.exists()  # type: ignore[attr-defined]
    if models and datasets:
        return ""
    both = not models and not datasets
    return "a base model and a dataset" if both else "a dataset" if models else "a base model"
