"""The page of a model's exports."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from finetune.core.ranges import send
from models_app.export_api import own_export
from models_app.export_forms import ExportForm
from models_app.models import Export
from models_app.pages import find_model
from models_app.progress_words import bar_of_export
from models_app.services.cancel_export import cancel_export
from models_app.services.delete_export import delete_export
from models_app.services.download_export import download_export
from models_app.services.export_model import export_model


@require_http_methods(["GET", "POST"])
def exports(request: HttpRequest, pk: int) -> HttpResponse:
    """What there is, and the form for more; htmx asks for the list alone while something is being made."""
    model = find_model(request, pk)
    form = ExportForm(request.POST or None, model=model)
    if request.method == "POST" and form.is_valid():
        try:
            made = export_model(model=model, **form.wanted())
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, f"“{made}” is ready." if made.status == Export.Status.READY else f"“{made}” is being made.")
            return redirect("model-exports", pk)
    rows = [(export, bar_of_export(export)) for export in model.exports.all()]
    context = {"model": model, "form": form, "rows": rows, "busy": any(export.busy for export, _ in rows)}
    refused = request.method == "POST"
    return render_page(request, "models/exports.html", context, fragment="" if refused else "made", status=422 if refused else 200)


@require_safe
def download(request: HttpRequest, pk: int, export: int) -> HttpResponseBase:
    found = download_export(export=own_export(request.user, pk, export), file=request.GET.get("file", ""))
    return send(request, found.content, filename=found.filename, content_type=found.content_type)


@require_POST
def cancel(request: HttpRequest, pk: int, export: int) -> HttpResponse:
    messages.success(request, f"“{cancel_export(export=own_export(request.user, pk, export))}” was stopped.")
    return redirect("model-exports", pk)


@require_POST
def delete(request: HttpRequest, pk: int, export: int) -> HttpResponse:
    found = own_export(request.user, pk, export)
    name = str(found)
    delete_export(export=found)
    messages.success(request, f"“{name}” was removed.")
    return redirect("model-exports", pk)
