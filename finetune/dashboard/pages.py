"""Home, and the pages for what went wrong."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from finetune.core.pages import render_page


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    context = {"title": "Nothing here", "text": "This page does not exist, or it belongs to somebody else."}
    return render_page(request, "error.html", context, status=404)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render_page(request, "error.html", {"title": "Not allowed", "text": "You may not do this."}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    context = {"title": "Something broke", "text": "It was our fault, and it is in the server's log. Try again."}
    return render_page(request, "error.html", context, status=500)
