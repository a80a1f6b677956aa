"""The side-by-side pages: ask several at once, vote, see who wins, and keep votes as rows to learn from."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finetune.core.errors import DomainError
from finetune.core.pages import page_of, refuse, render_page
from models_app.comparison_forms import CollectForm, CompareForm
from models_app.comparison_serializers import sides_of
from models_app.models import Comparison
from models_app.services.collect_preferences import collect_preferences, rows_of
from models_app.services.compare_sources import compare_sources
from models_app.services.count_wins import count_wins
from models_app.services.try_prompt import gather
from models_app.services.vote_comparison import vote_comparison


def find_comparison(request: HttpRequest, pk: int) -> Comparison:
    """The asker's own, or 404."""
    return get_object_or_404(Comparison.objects.for_user(request.user).select_related("kept_in"), pk=pk)


@require_http_methods(["GET", "POST"])
def side_by_side(request: HttpRequest) -> HttpResponse:
    """The form; with JavaScript static/sidebyside.js streams the answers, without it they are waited for here."""
    initial = {"prompt": request.GET.get("prompt", "")[:20_000]}
    form = CompareForm(request.POST or None, owner=request.user, chosen=request.GET.getlist("source"), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made, request_id = compare_sources(owner=request.user, **form.values())  # type: ignore[arg-type]
            gather(request_id=request_id)
        except DomainError as error:
            refuse(form, error)
        else:
            return redirect("comparison", made.pk)
    return render_page(request, "models/side_by_side.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Every comparison, and who wins."""
    return _index(request, CollectForm(owner=request.user))


def _index(request: HttpRequest, form: CollectForm, *, status: int = 200) -> HttpResponse:
    mine = Comparison.objects.for_user(request.user)
    open_votes = mine.filter(kept_in=None).exclude(vote__in=("", "tie", "none"))
    page = page_of(request, mine.select_related("kept_in"))
    context = {
        "page": page,
        "rows": [(each, sides_of(each)) for each in page],
        "wins": count_wins(owner=request.user),  # type: ignore[arg-type]
        "form": form,
        "collectable": sum(len(rows_of(each)) for each in open_votes[:1000]),
    }
    return render_page(request, "models/comparisons.html", context, status=status)


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The answers and the vote; htmx asks for the vote alone."""
    return show(request, find_comparison(request, pk))


def show(request: HttpRequest, comparison: Comparison, *, form: CollectForm | None = None, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "comparison": comparison,
        "sides": sides_of(comparison),
        "collectable": bool(comparison.vote) and comparison.kept_in is None and rows_of(comparison),
        "form": form or CollectForm(owner=request.user, initial={"name": "Votes"}),
    }
    return render_page(request, "models/comparison.html", context, fragment="outcome", status=status)


@require_POST
def vote(request: HttpRequest, pk: int) -> HttpResponse:
    comparison = vote_comparison(comparison=find_comparison(request, pk), vote=request.POST.get("vote", "")[:10])
    return show(request, comparison) if request.htmx else redirect("comparison", pk)  # type: ignore[attr-defined]


@require_POST
def collect(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """One vote, or all of them, as rows of a dataset."""
    comparison = find_comparison(request, pk) if pk else None
    form = CollectForm(request.POST, owner=request.user)
    if form.is_valid():
        try:
            made = collect_preferences(owner=request.user, comparison=comparison, **form.cleaned_data)  # type: ignore[arg-type]
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, f"“{made}” version {made.version} is being written.")
            return _gone(request, reverse("dataset", args=[made.pk]))
    return show(request, comparison, form=form, status=422) if comparison else _index(request, form, status=422)


def _gone(request: HttpRequest, address: str) -> HttpResponse:
    """Go there, also from htmx."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return HttpResponse(status=204, headers={"HX-Redirect": address})
