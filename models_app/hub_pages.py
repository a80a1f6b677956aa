"""The pages about the Hugging Face Hub: find, look, download, push; and what lies on the disk."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from finetune.core import hub
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from models_app.hub_forms import HubSearchForm, PushForm
from models_app.pages import find_model, show_model
from models_app.popular import USES
from models_app.services.cancel_download import cancel_download
from models_app.services.describe_hub_model import describe_hub_model
from models_app.services.download_model import download_model
from models_app.services.list_popular import list_popular
from models_app.services.list_storage import list_storage
from models_app.services.push_model import push_model
from models_app.services.search_hub import search_hub

NARROWING = ("q", "size", "license", "author", "sort", "page")


@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """The curated models, or the results of a search; htmx asks for the results alone."""
    form = HubSearchForm(request.GET or {"task": "text-generation", "library": "transformers", "sort": "downloads"})
    context: dict[str, Any] = {"form": form, "searched": any(request.GET.get(name) for name in NARROWING), "page": 1}
    try:
        context |= _results(request, form) if context["searched"] else _popular(request)
    except DomainError as error:
        context["trouble"] = error.message
    return render_page(request, "models/hub.html", context, fragment="results")


def _results(request: HttpRequest, form: HubSearchForm) -> dict[str, Any]:
    if not form.is_valid():
        field, words = next(iter(form.errors.items()))
        return {"trouble": f"{field}: {words[0]}"}
    wanted = form.wanted()
    results, more = search_hub(owner=request.user, **wanted)
    return {"results": results, "more": more, "page": wanted["page"]}


def _popular(request: HttpRequest) -> dict[str, Any]:
    results, live = list_popular(owner=request.user)
    uses = list(USES)
    return {"results": sorted(results, key=lambda shown: uses.index(shown.use)), "live": live}


@require_GET
def look(request: HttpRequest, repo_id: str) -> HttpResponse:
    """One repository of the Hub, before it is downloaded."""
    found = describe_hub_model(owner=request.user, repo_id=repo_id, revision=request.GET.get("revision", ""))
    return render_page(request, "models/hub_model.html", {"found": found, "shown": found.shown})


@require_POST
def download(request: HttpRequest) -> HttpResponse:
    """Begin a download, or take it up again, and show it."""
    asked = {name: request.POST.get(name, "") for name in ("repo_id", "revision")}
    model = download_model(owner=request.user, **asked)
    return redirect("model", model.pk)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    model = cancel_download(model=find_model(request, pk))
    messages.success(request, f"The download of “{model}” was stopped and what had come was removed.")
    return redirect("model", pk)


@require_POST
def push(request: HttpRequest, pk: int) -> HttpResponse:
    model = find_model(request, pk)
    form = PushForm(request.POST, model=model)
    if form.is_valid():
        try:
            push_model(model=model, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, f"“{model}” is on its way to {model.push.get('repo_id') or form.cleaned_data['repo_id']}.")
            return redirect("model", pk)
    return show_model(request, model, status=422, push_form=form)


@require_GET
def disk(request: HttpRequest) -> HttpResponse:
    """What is stored, who uses it, and what lies in the Hub cache of this machine."""
    return render_page(request, "models/storage.html", {"storage": list_storage(owner=request.user), "cached": hub.cached_models()})
