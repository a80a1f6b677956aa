"""The form of a new job."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.person import person
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.engine.spec import config_fields
from training.estimator import Advice
from training.forms import JobForm, usable_datasets, usable_models
from training.job_defaults import defaults_of
from training.pages.own import own_job
from training.place_cards import PlaceCard
from training.place_notes import notes, troubles
from training.services.create_job import create_job
from training.services.estimate_job import estimate_job
from training.services.estimate_places import ASKED, estimate_places
from training.services.save_template import save_template
from training.spec_fields import form_text
from training.template_list import find_template


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form. GET takes ?model=, ?dataset=, ?method=, ?from=<job>, ?template=, and any field; htmx asks again when one of the
    choices changes, and without JavaScript a button does."""
    if request.method == "GET":
        return _new_page(request, _blank_form(request))
    form = JobForm(request.POST, owner=request.user)  # type: ignore[arg-type]
    if form.is_valid():
        try:
            start = {"start": "start" in request.POST, "confirm_cost": form.cleaned_data["confirm_cost"]}
            created = create_job(owner=request.user, **start, **form.job_values())  # type: ignore[arg-type, misc]
            return redirect("job", created.pk)
        except DomainError as error:
            form.asks_to_confirm = error.code == "confirm_cost"
            refuse(form, error)
    return _new_page(request, form, status=422)


@require_POST
def save_template_from_form(request: HttpRequest) -> HttpResponse:
    """Keep the form's method and options as a template, under the name in the form; model and dataset don't matter."""
    form = JobForm(request.POST, owner=request.user)  # type: ignore[arg-type]
    form.is_valid()
    name = form.cleaned_data.get("name") or f"{method_words(form.chosen_method)} settings"
    try:
        made = save_template(owner=request.user, name=name, method=form.chosen_method, config=form.config())  # type: ignore[arg-type]
    except DomainError as error:
        refuse(form, error)
        return _new_page(request, form, status=422)
    messages.success(request, f"“{made.name}” is a template now.")
    return redirect("template", made.pk)


def _blank_form(request: HttpRequest) -> JobForm:
    copied, mine = _copied(request), _own_defaults(request)
    initial: dict[str, Any] = (copied or mine) | request.GET.dict()
    if "name" in request.GET:  # the form itself asks: what is not ticked is not meant
        initial["report_to"] = request.GET.getlist("report_to")
    initial.pop("suggested", None)
    for short, field in (("model", "model_id"), ("dataset", "dataset_id")):
        if short in initial:
            initial[field] = initial.pop(short)
    for field, choices in (("model_id", usable_models(request.user)), ("dataset_id", usable_datasets(request.user))):  # type: ignore[arg-type]
        only = choices[:2]
        if field not in initial and len(only) == 1:  # with one to choose from there is nothing to choose
            initial[field] = only[0].pk
    return JobForm(owner=request.user, initial=_with_template(request, initial, mine))  # type: ignore[arg-type]


def _with_template(request: HttpRequest, initial: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """The values with a template's options in place of those so far, when one was chosen just now."""
    known = {item.name for item in config_fields()}
    just_now = request.headers.get("HX-Trigger-Name") == "template" or "apply" in request.GET or not known & set(request.GET)
    if not just_now:
        return initial
    template = find_template(request.user, initial.get("template", ""))
    kept = {name: value for name, value in initial.items() if name not in known or not request.GET.get("template", "")}
    mine = {name: value for name, value in mine.items() if name in known}
    if template is None:
        kept = {name: value for name, value in initial.items() if name not in known or "template" not in request.GET}
        return kept if "from" in request.GET else mine | kept
    kept = mine | kept
    values = {name: form_text(value, name) for name, value in template.config.items()}
    return {**kept, **values, "method": template.method}


def _own_defaults(request: HttpRequest) -> dict[str, Any]:
    """What the person's settings say new jobs begin with, as form values."""
    mine = defaults_of(person(request))
    told = {name: getattr(mine, name) for name in ("method", "executor", "hardware", "report_to") if getattr(mine, name)}
    return told | {name: form_text(value, name) for name, value in mine.config.items()}


def _copied(request: HttpRequest) -> dict[str, Any]:
    """The values of the job named by ?from=, so that it can be changed before it is made again."""
    text = request.GET.get("from", "")
    if not text.isdecimal():
        return {}
    source = own_job(request, int(text))
    config = {name: form_text(value, name) for name, value in source.config.items()}
    names = (
        "name",
        "method",
        "model_id",
        "dataset_id",
        "train_split",
        "eval_split",
        "executor",
        "hardware",
        "budget",
        "keep_remote",
        "report_to",
    )
    return {name: getattr(source, name) for name in names} | config


def _new_page(request: HttpRequest, form: JobForm, *, status: int = 200) -> HttpResponse:
    missing = _missing(form)
    context = {
        "form": form,
        "places": form.places,  # called by the whole page only: the options alone show none
        "missing": missing,
        "obstacle": form.obstacle(),
        "making": bool(missing) and _sample_is_being_made(request),
    }
    return render_page(request, "training/new.html", context, fragment="options", status=status)


def _sample_is_being_made(request: HttpRequest) -> bool:
    mine = LanguageModel.objects.for_user(request.user)
    return mine.filter(source=LanguageModel.Source.SAMPLE, status=LanguageModel.Status.DOWNLOADING).exists()


@require_POST
def estimate(request: HttpRequest) -> HttpResponse:
    """What the job in the form would need; htmx asks again while the form changes. Nothing is stored or refused here."""
    form = JobForm(request.POST, owner=request.user)  # type: ignore[arg-type]
    context: dict[str, Any] = {"form": form, "missing": _missing(form), "obstacle": form.obstacle()}
    if form.is_valid():
        values = {key: value for key, value in form.job_values().items() if key != "name"}
        try:
            found = estimate_job(owner=request.user, **values)  # type: ignore[arg-type, misc]
            context |= {"estimate": found, "advice": [_applicable(item) for item in found.advice]}
        except DomainError as error:
            context["reason"] = error.message
    context["places"] = _places(form)
    return render_page(request, "training/new.html", context, fragment="estimate")


def _places(form: JobForm) -> list[PlaceCard]:
    """The places with estimates, where the form says enough to make some."""
    known: dict[str, Any] = {"notes": notes(form.owner), "troubles": troubles(form.owner, form.model, form.place)}
    if form.is_valid():
        values = {name: value for name, value in form.job_values().items() if name in ASKED}
        with suppress(DomainError):  # the estimate beside it says what is wrong
            known["estimates"] = estimate_places(owner=form.owner, **values)
    return form.places(**known)


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
