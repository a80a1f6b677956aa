"""The settings page on which a person takes their data away."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from accounts.models import DataArchive
from accounts.person import person
from finetune.core.pages import render_page
from finetune.core.ranges import send
from finetune.operations.services.download_archive import download_archive
from finetune.operations.services.export_data import export_data


@require_GET
def data(request: HttpRequest) -> HttpResponse:
    """How far the newest archive is; htmx asks again while it is being made."""
    archive = DataArchive.objects.for_user(person(request)).first()
    return render_page(request, "accounts/data.html", {"archive": archive}, fragment="archive")


@require_POST
def export(request: HttpRequest) -> HttpResponse:
    export_data(user=person(request))
    messages.success(request, "A worker puts your data together. You are told when the archive is ready.")
    return redirect("settings-data")


@require_GET
def download(request: HttpRequest) -> HttpResponseBase:
    content, filename = download_archive(user=person(request))
    return send(request, content, filename=filename, content_type="application/zip")
