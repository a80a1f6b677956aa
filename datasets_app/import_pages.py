"""The pages that bring data in: upload, import from the Hub, and the mapping screen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app.formats.picking import fields_of
from datasets_app.formats.schemas import shapes_with
from datasets_app.import_forms import SHAPES, ImportHubForm, MapForm, UploadForm
from datasets_app.models import Dataset, SavedMapping
from datasets_app.services.delete_mapping import delete_mapping
from datasets_app.services.import_hub_dataset import import_hub_dataset
from datasets_app.services.preview_mapping import MappingPreview, preview_mapping
from datasets_app.services.save_mapping import save_mapping
from datasets_app.services.upload_batch import Uploaded, upload_batch
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import validate_dataset
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page

SPOKEN_OF = {"sharegpt": "openai"}  # one form serves both


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.for_user(request.user), pk=pk)


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """The upload page. With JavaScript each file comes in a request of its own, and its outcome goes back as a row."""
    form = UploadForm(request.POST or None, request.FILES or None, owner=request.user)  # type: ignore[arg-type]
    if request.method == "GET":
        return _upload_page(request, UploadForm(owner=request.user))  # type: ignore[arg-type]
    outcomes: list[Uploaded] = []
    if form.is_valid():
        try:
            outcomes = _take(request, form)
        except DomainError as error:
            refuse(form, error)
            if request.htmx:  # type: ignore[attr-defined]
                outcomes = [Uploaded(str(request.FILES.getlist("file")[0].name), error=error)]
    if request.htmx:  # type: ignore[attr-defined]
        refusal = "" if outcomes else " ".join(str(words) for errors in form.errors.values() for words in errors)
        return render_page(request, "datasets/upload.html", {"outcomes": outcomes, "refusal": refusal}, fragment="outcomes")
    if len(outcomes) == 1 and outcomes[0].dataset:
        return redirect("dataset", outcomes[0].dataset.pk)
    return _upload_page(request, form, outcomes=outcomes, status=400 if form.errors else 200)


def _upload_page(request: HttpRequest, form: UploadForm, *, status: int = 200, **context: Any) -> HttpResponse:
    context = {"form": form, "hub_form": ImportHubForm(), **context}
    return render_page(request, "datasets/upload.html", context, status=status)


def _take(request: HttpRequest, form: UploadForm) -> list[Uploaded]:
    """One file is a dataset or a refusal in the form; several have an outcome each."""
    files, description = form.cleaned_data["file"], form.cleaned_data["description"]
    common: dict[str, Any] = {"owner": request.user, "description": description, "mapping": form.mapping()}
    if len(files) == 1 and not files[0].name.lower().endswith(".zip"):
        dataset = upload_dataset(file=files[0], name=form.cleaned_data["name"], **common)
        return [Uploaded(files[0].name, dataset)]
    return upload_batch(files=files, **common)


@require_POST
def import_hub(request: HttpRequest) -> HttpResponse:
    form = ImportHubForm(request.POST)
    if form.is_valid():
        try:
            return redirect("dataset", import_hub_dataset(owner=request.user, **form.cleaned_data).pk)  # type: ignore[arg-type]
        except DomainError as error:
            refuse(form, error)
    return _upload_page(request, UploadForm(owner=request.user), hub_form=form, status=400)  # type: ignore[arg-type]


@require_GET
def outcome(request: HttpRequest, pk: int) -> HttpResponse:
    """How far one uploaded file has come: a row of the upload page."""
    dataset = _find(request, pk)
    return render_page(request, "datasets/outcome.html", {"outcome": Uploaded(dataset.source_name, dataset)})


@require_http_methods(["GET", "POST"])
def mapping(request: HttpRequest, pk: int) -> HttpResponse:
    """The mapping screen: GET shows it, POST tries, saves or applies what the form says."""
    dataset = _find(request, pk)
    if request.method == "GET":
        given = _given(request, dataset)
        return _mapping_page(
            request,
            dataset,
            MapForm(shape=_shape(request.GET.get("shape", ""), given, dataset), columns=dataset.columns, mapping=given),
        )
    form = MapForm(request.POST, shape=request.POST.get("shape", ""), columns=dataset.columns)
    if form.is_valid():
        try:
            if request.POST.get("action") == "apply":
                validate_dataset(dataset=dataset, mapping=form.mapping())
                return redirect("dataset", pk)
            if request.POST.get("action") == "save":
                saved = save_mapping(owner=request.user, name=form.cleaned_data["name"], mapping=form.mapping())  # type: ignore[arg-type]
                messages.success(request, f"Saved as “{saved.name}”.")
        except DomainError as error:
            refuse(form, error)
    return _mapping_page(request, dataset, form, status=400 if form.errors else 200)


def _given(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """The mapping to begin with: a saved one that was chosen, the dataset's own, or what was taken by the columns' names."""
    chosen = request.GET.get("saved", "")
    if chosen.isdecimal() and len(chosen) < 12:
        return get_object_or_404(SavedMapping.objects.for_user(request.user), pk=int(chosen)).mapping
    return dataset.mapping or dataset.report.get("suggestion", {})


def _shape(wanted: str, given: dict[str, Any], dataset: Dataset) -> str:
    if wanted in SHAPES:
        return wanted
    fits = [shape.format for shape in shapes_with(fields_of(given))] if fields_of(given) else []
    name = dataset.format if dataset.format in fits or not fits else fits[0]
    name = SPOKEN_OF.get(name, name)
    return name if name in SHAPES else "prompt_completion"


def _mapping_page(request: HttpRequest, dataset: Dataset, form: MapForm, *, status: int = 200) -> HttpResponse:
    preview, trouble = _tried(dataset, form)
    saved = SavedMapping.objects.for_user(request.user)
    columns = preview.columns if preview else dataset.columns
    context = {"dataset": dataset, "form": form, "preview": preview, "trouble": trouble, "saved": saved, "columns": columns}
    return render_page(request, "datasets/mapping.html", context, fragment="preview", status=status)


def _tried(dataset: Dataset, form: MapForm) -> tuple[MappingPreview | None, str]:
    """The first rows as the form would make them, or why not."""
    bound = form if form.is_bound else _filled(form)
    if not bound.is_valid():
        return None, "Correct the form first."
    try:
        return preview_mapping(dataset=dataset, mapping=bound.mapping()), ""
    except DomainError as error:
        return None, error.message


def _filled(form: MapForm) -> MapForm:
    """The form as if its initial values had been sent."""
    values = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    return MapForm(values, shape=form.form_shape, columns=[])


@require_POST
def forget_mapping(request: HttpRequest, pk: int) -> HttpResponse:
    saved = get_object_or_404(SavedMapping.objects.for_user(request.user), pk=pk)
    delete_mapping(mapping=saved)
    messages.success(request, f"The mapping “{saved.name}” was deleted.")
    return redirect(request.POST.get("next") if str(request.POST.get("next", "")).startswith("/datasets/") else "datasets")  # type: ignore[arg-type]
