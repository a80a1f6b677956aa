"""The history of a family: every version, and which of them to compare."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.pages import page_of, render_page
from models_app.models import LanguageModel
from models_app.pages import find_model


@require_GET
def versions(request: HttpRequest, pk: int) -> HttpResponse:
    model = find_model(request, pk)
    rows = LanguageModel.objects.for_user(request.user).filter(family=model.family).select_related("base_model", "produced_by")
    page = page_of(request, rows.prefetch_related("exports").order_by("-version"))
    return render_page(request, "models/versions.html", {"model": model, "page": page})
