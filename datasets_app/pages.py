"""The dataset pages: the list, upload, and one dataset with its findings and rows."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets_app.filters import CHOICES, SEARCHED, SORTED_BY, filter_datasets
from datasets_app.forms import EditForm, MappingForm
from datasets_app.insight_pages import chosen_number, grouped, tokenizers_of
from datasets_app.models import Dataset
from datasets_app.services.confirm_mapping import confirm_mapping
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.download_dataset import download_dataset
from datasets_app.services.preview_dataset import preview_dataset
from datasets_app.services.render_rows import render_rows
from datasets_app.services.update_dataset import update_dataset
from datasets_app.services.validate_dataset import validate_dataset
from finetune.core.downloads import stream_file
from finetune.core.errors import DomainError
from finetune.core.pages import page_of, refuse, render_page

ROWS_A_PAGE = 10
RENDER_WAIT = 3.0  # seconds for a worker to render the rows of one page; then the page asks again by itself


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.for_user(request.user), pk=pk)


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    mine = Dataset.objects.for_user(request.user)
    rows = filter_datasets(mine, request.GET)
    if words := request.GET.get("search", "").replace("\x00", "").strip():
        rows = rows.filter(_any_of(words))
    order = request.GET.get("ordering", "")
    if order.lstrip("-") in SORTED_BY:
        rows = rows.order_by(order, "-pk")
    page = page_of(request, rows)
    narrowed = any(request.GET.get(name) for name in ("search", *CHOICES))
    waiting = any(dataset.is_busy for dataset in page.object_list)
    context = {"page": page, "choices": CHOICES, "narrowed": narrowed, "waiting": waiting}
    return render_page(request, "datasets/list.html", context, fragment="results")


def _any_of(words: str) -> Q:
    found = Q()
    for field in SEARCHED:
        found |= Q(**{f"{field}__icontains": words})
    return found


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _detail(request, _find(request, pk))


def _detail(request: HttpRequest, dataset: Dataset, *, status: int = 200, **forms: Any) -> HttpResponse:
    suggestion = dataset.report.get("suggestion", {})
    context = {
        "dataset": dataset,
        "groups": grouped(dataset),
        "tab": "rows",
        "suggestion": suggestion,
        "valid_rows": dataset.report.get("valid_rows"),
        "edit_form": EditForm(initial={"name": dataset.name, "description": dataset.description}),
        "mapping_form": MappingForm(),
        **_rows(request, dataset),
        **forms,
    }
    # While the file is read, the page asks for its moving part; searching and paging pick theirs out of the whole page.
    fragment = "live" if request.htmx.target == "live" else ""  # type: ignore[attr-defined]
    return render_page(request, "datasets/detail.html", context, fragment=fragment, status=status)


def _rows(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """The page of rows that `?page=` and `?search=` name; nothing for a dataset without rows."""
    if dataset.status != Dataset.Status.READY and not dataset.is_held_by_a_gate:
        return {}
    search, wish = request.GET.get("search", "")[:500], _wish(request, dataset)
    number = request.GET.get("page", "")
    wanted = max(1, int(number)) if number.isdecimal() and len(number) < 12 else 1
    asked: dict[str, Any] = {"dataset": dataset, "offset": (wanted - 1) * ROWS_A_PAGE, "limit": ROWS_A_PAGE, "search": search}
    preview = preview_dataset(**asked, split=wish["split"], rule=wish["rule"])
    page = Paginator(range(preview.total), ROWS_A_PAGE).get_page(wanted)
    rendered, refusal, waiting = _rendered(dataset, preview.rows, wish)
    shown = list(zip_longest(preview.rows, rendered))
    models = tokenizers_of(request, wish["model_id"])
    return {
        "preview": preview,
        "page": page,
        "search": search,
        "shown": shown,
        "refusal": refusal,
        "waiting": waiting,
        "models": models,
        **wish,
    }


def _wish(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """Which rows, and through which model's eyes; what the address names wrongly counts as not named."""
    split = request.GET.get("split", "")
    return {
        "split": split if split in dataset.splits else "",
        "rule": request.GET.get("rule", "")[:60],
        "model_id": chosen_number(request, "model_id"),
        "max_length": chosen_number(request, "max_length", 8),
    }


def _rendered(dataset: Dataset, rows: list[dict[str, Any]], wish: dict[str, Any]) -> tuple[list[Any], str, bool]:
    """The rows through the model's template, or in words why not, and whether it is worth asking again."""
    if wish["model_id"] is None:
        return [], "", False
    try:
        return (
            render_rows(dataset=dataset, rows=rows, model_id=wish["model_id"], max_length=wish["max_length"], wait=RENDER_WAIT),
            "",
            False,
        )
    except DomainError as error:
        return [], error.message, error.code == "no_worker"


@require_POST
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    form = EditForm(request.POST)
    if not form.is_valid():
        return _detail(request, dataset, status=400, edit_form=form)
    update_dataset(dataset=dataset, **form.cleaned_data)
    return redirect("dataset", pk)


@require_POST
def validate(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    form = MappingForm(request.POST)
    if form.is_valid():
        try:
            validate_dataset(dataset=dataset, mapping=None if "again" in request.POST else form.mapping())
        except DomainError as error:
            refuse(form, error)
    return _detail(request, dataset, status=400, mapping_form=form) if form.errors else redirect("dataset", pk)


@require_POST
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    confirm_mapping(dataset=_find(request, pk))
    return redirect("dataset", pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    delete_dataset(dataset=dataset)
    messages.success(request, f"“{dataset.name}” was deleted.")
    return redirect("datasets")


@require_GET
def download(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    file = download_dataset(dataset=_find(request, pk), format=request.GET.get("format", "original"))
    return stream_file(request, file.chunks, filename=file.filename, content_type=file.content_type, size=file.size)
