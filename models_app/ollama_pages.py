"""The pages about Ollama: the server and what it has, and a model's import."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from models_app.models import OllamaCopy
from models_app.ollama_api import own_copy
from models_app.ollama_forms import ImportForm, ServerForm
from models_app.pages import find_model
from models_app.progress_words import bar_of_copy
from models_app.services.cancel_ollama import cancel_ollama
from models_app.services.choose_ollama import choose_ollama
from models_app.services.describe_ollama import describe_ollama, server_of
from models_app.services.import_ollama import import_ollama
from models_app.services.remove_ollama import remove_ollama


@require_http_methods(["GET", "POST"])
def server(request: HttpRequest) -> HttpResponse:
    """Whether it answers, what it has, what of that we made; and which server it is."""
    if request.method == "GET" and request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        return render_page(request, "models/ollama.html", _shown(OllamaCopy.objects.for_user(request.user)), fragment="made")
    form = ServerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            url = choose_ollama(owner=request.user, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, f"Your models go to {url} from now on.")
            return redirect("ollama")
    found = describe_ollama(owner=request.user)
    if not form.is_bound:
        form = ServerForm(initial={"server": found.url})
    context = {"found": found, "form": form, **_shown(found.copies)}
    return render_page(request, "models/ollama.html", context, status=422 if request.method == "POST" else 200)


def _shown(copies: Iterable[OllamaCopy]) -> dict[str, Any]:
    """What we made, with how far each import is, and whether one is under way."""
    rows = [(copy, bar_of_copy(copy)) for copy in copies]
    return {"rows": rows, "busy": any(copy.busy for copy, _ in rows)}


@require_POST
def test(request: HttpRequest) -> HttpResponse:
    """Asked from the settings."""
    found = describe_ollama(owner=request.user)
    if found.reachable:
        messages.success(request, f"{found.url} answers, version {found.version or 'unknown'}, with {len(found.models)} models.")
    else:
        messages.error(request, found.trouble)
    return redirect("settings-connections")


@require_http_methods(["GET", "POST"])
def bring(request: HttpRequest, pk: int) -> HttpResponse:
    """One model's copies and the form for another; htmx asks for the list alone while one is under way."""
    model = find_model(request, pk)
    form = ImportForm(request.POST or None, model=model)
    if request.method == "POST" and form.is_valid():
        try:
            copy = import_ollama(model=model, **form.wanted())
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, f"“{copy}” is on its way to {copy.server}.")
            return redirect("model-ollama", pk)
    context = {"model": model, "form": form, "url": server_of(request.user), **_shown(model.ollama_copies.all())}
    refused = request.method == "POST"
    return render_page(
        request, "models/ollama_import.html", context, fragment="" if refused else "made", status=422 if refused else 200
    )


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    copy = cancel_ollama(copy=own_copy(request.user, pk))
    messages.success(request, f"The import of “{copy}” was stopped.")
    return redirect("model-ollama", copy.model_id) if copy.model_id else redirect("ollama")


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    copy = own_copy(request.user, pk)
    remove_ollama(copy=copy)
    messages.success(request, f"“{copy}” was removed.")
    return redirect("ollama")
