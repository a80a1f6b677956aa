"""/help: the handbook inside the product."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.pages import render_page
from finetune.dashboard.handbook import CHAPTERS, DOCS, read_page, search_pages

QUERY_LENGTH = 200


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The contents, or what was found for `?q=`."""
    words = request.GET.get("q", "").strip()[:QUERY_LENGTH]
    return render_page(request, "help/index.html", {"chapters": _chapters(), "words": words, "hits": search_pages(words)})


@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    return render_page(request, "help/page.html", {"chapters": _chapters(), "page": read_page(slug)})


@require_GET
def example(request: HttpRequest, name: str) -> HttpResponse:
    """One of the example files of the data formats."""
    content = (DOCS / "examples" / name).read_bytes()
    answer = HttpResponse(content, content_type="application/jsonl")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_GET
def image(request: HttpRequest, name: str) -> HttpResponse:
    """A screenshot that a page shows; `make screenshots` makes them."""
    answer = HttpResponse((DOCS / "images" / name).read_bytes(), content_type="image/png")
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


def _chapters() -> dict[str, list]:
    return {chapter: [read_page(slug) for slug in slugs] for chapter, slugs in CHAPTERS.items()}
