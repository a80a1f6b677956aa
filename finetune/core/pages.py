"""What every HTML view shares: fragments for htmx, refusals put into the form they belong to, paging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from finetune.core.errors import DomainError


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, *, fragment: str = "", status: int = 200
) -> HttpResponse:
    """The page, or only its `{% partialdef fragment %}` when htmx asks for that part."""
    partial = fragment and request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    response = render(request, f"{template}#{fragment}" if partial else template, context or {}, status=status)
    # One address, two bodies: without this the Back button shows the fragment that the browser cached last.
    patch_vary_headers(response, ("HX-Request", "HX-Boosted", "HX-Target"))
    return response


def refuse(form: forms.Form, error: DomainError) -> None:
    """Show a verb's refusal in the form: at its fields where the form has them, else above them."""
    placed = False
    for field, messages in error.fields.items():
        if field in form.fields:
            placed = True
            for message in messages:
                form.add_error(field, message)
    if not placed:
        form.add_error(None, error.message)


def page_of(request: HttpRequest, rows: QuerySet | Sequence, *, size: int = 25) -> Page:
    """The page of rows named by `?page=`; a number out of range gives the nearest page."""
    return Paginator(rows, size).get_page(request.GET.get("page"))
