"""The model pages."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from finetune.core import hub
from finetune.core.errors import DomainError, Invalid
from finetune.core.pages import page_of, refuse, render_page
from finetune.core.templatetags.ui import compact, decimals, percent
from models_app.filters import filter_models
from models_app.forms import AddModelForm, EditModelForm, TryForm
from models_app.hub_forms import PushForm
from models_app.models import LanguageModel
from models_app.progress_words import bar_of
from models_app.services.delete_model import delete_model
from models_app.services.register_base import register_base
from models_app.services.try_prompt import gather
from models_app.services.update_model import update_model
from models_app.services.update_version import update_version
from models_app.try_request import ask

# The metrics worth a tile, in words and figures people read.
NUMBERS = (
    ("eval_loss", "Eval loss", decimals),
    ("first_eval_loss", "Eval loss before", decimals),
    ("eval_perplexity", "Perplexity", partial(decimals, places=2)),
    ("eval_mean_token_accuracy", "Token accuracy", percent),
    ("loss", "Train loss", decimals),
    ("num_tokens", "Tokens trained", compact),
)
SORTS = {
    "-created_at": "Newest first",
    "created_at": "Oldest first",
    "name": "Name",
    "-parameters": "Largest first",
    "parameters": "Smallest first",
}
# Small enough to fine-tune on a laptop, permissively licensed, with a chat template: known to work.
SUGGESTED_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"


def find_model(request: HttpRequest, pk: int) -> LanguageModel:
    """The asker's own, or 404."""
    rows = LanguageModel.objects.for_user(request.user).select_related("base_model", "produced_by")
    return get_object_or_404(rows, pk=pk)


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The list; htmx asks for the table alone."""
    return _list(request, AddModelForm())


def _list(request: HttpRequest, form: AddModelForm, *, status: int = 200) -> HttpResponse:
    mine = LanguageModel.objects.for_user(request.user)
    page = page_of(request, _wanted(request, mine.select_related("base_model")))
    context = {
        "page": page,
        "any": mine.exists(),
        "busy": any(model.status == LanguageModel.Status.DOWNLOADING for model in page),
        "kinds": LanguageModel.Kind.choices,
        "statuses": LanguageModel.Status.choices,
        "sorts": SORTS,
        "form": form,
    }
    if not request.htmx:  # type: ignore[attr-defined]
        context |= _offers(mine)
    return render_page(request, "models/list.html", context, fragment="results", status=status)


def _wanted(request: HttpRequest, rows: Any) -> Any:
    """The rows that search and filters leave; a filter value that can't be is ignored on a page."""
    try:
        rows = filter_models(rows, request.GET)
    except Invalid:
        return rows
    if words := request.GET.get("search", "").strip():
        rows = rows.filter(Q(name__icontains=words) | Q(family__icontains=words) | Q(repo_id__icontains=words))
    sort = request.GET.get("ordering", "")
    return rows.order_by(sort, "-pk") if sort in SORTS else rows


def _offers(mine: Any) -> dict[str, Any]:
    """Bases one could add: what lies in the Hub cache of this machine, and a known-good small one to download."""
    have = set(mine.exclude(repo_id="").values_list("repo_id", "revision"))
    names = {repo_id for repo_id, _ in have}
    cached = [model for model in hub.cached_models() if (model.repo_id, model.revision) not in have]
    suggested = SUGGESTED_REPO not in names and all(model.repo_id != SUGGESTED_REPO for model in cached)
    return {"cached": cached, "suggested_repo": SUGGESTED_REPO if suggested else ""}


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add a base model from the Hub, or look again whether its files have arrived."""
    form = AddModelForm(request.POST)
    if form.is_valid():
        try:
            model = register_base(owner=request.user, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            _say_added(request, model)
            return redirect("model", model.pk)
    return _list(request, form, status=422)


def _say_added(request: HttpRequest, model: LanguageModel) -> None:
    if model.status == LanguageModel.Status.READY:
        messages.success(request, f"“{model}” is ready.")
    else:
        messages.warning(request, f"“{model}” is recorded, but its files are not in this machine's Hub cache yet.")


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One model; htmx asks for its state or its facts alone while something goes on, and for all of it at the end."""
    model = find_model(request, pk)
    if request.htmx and request.htmx.target == "state":  # type: ignore[attr-defined]
        response = show_model(request, model, fragment="state")
        if not model.busy:
            response["HX-Refresh"] = "true"
        return response
    return show_model(request, model, fragment="facts")


def show_model(
    request: HttpRequest, model: LanguageModel, *, fragment: str = "", status: int = 200, **context: Any
) -> HttpResponse:
    """The model's page, with a form that was refused in place of a fresh one."""
    family = LanguageModel.objects.for_user(request.user).filter(family=model.family).order_by("-version")
    notes = {"name": model.name, "version_tag": model.version_tag, "version_notes": model.version_notes}
    defaults = {
        "model": model,
        "versions": family[:50],
        "try_form": TryForm(comparable=model.base_model_id is not None),
        "source": f"model-{model.pk}",
        "side_by_side": side_by_side(model),
        "edit_form": EditModelForm(initial=notes),
        "push_form": PushForm(model=model, initial={"repo_id": model.push.get("repo_id", "")}),
        "bar": bar_of(model),
        "hub_page": f"{settings.HF_ENDPOINT}/{model.repo_id}",
        "numbers": [(label, words(model.metrics[key])) for key, label, words in NUMBERS if model.metrics.get(key) is not None],
    }
    return render_page(request, "models/detail.html", {**defaults, **context}, fragment=fragment, status=status)


def side_by_side(model: LanguageModel) -> str:
    """The page that asks this model and its base the same."""
    others = f"&source=model-{model.base_model_id}" if model.base_model_id else ""
    return f"{reverse('side-by-side')}?source=model-{model.pk}{others}"


@require_POST
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    model = find_model(request, pk)
    form = EditModelForm(request.POST)
    if form.is_valid():
        try:
            update_model(model=model, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("model", pk)
    return show_model(request, model, status=422, edit_form=form)


@require_POST
def latest(request: HttpRequest, pk: int) -> HttpResponse:
    """Make this version the one its family stands for."""
    model = update_version(model=find_model(request, pk), is_latest=True)
    messages.success(request, f"Version {model.version} is now the latest.")
    return redirect("model", pk)


@require_POST
def try_it(request: HttpRequest, pk: int) -> HttpResponse:
    """The answer as a page: for browsers without JavaScript (with it, static/chat.js streams over the socket)."""
    model = find_model(request, pk)
    form = TryForm(request.POST, comparable=model.base_model_id is not None)
    outputs: list[dict[str, Any]] = []
    if form.is_valid():
        try:
            request_id = ask(user=request.user, model=model, body=form.body(model.base_model_id))
            outputs = _named(model, gather(request_id=request_id))
        except DomainError as error:
            refuse(form, error)
    return show_model(request, model, status=200 if outputs else 422, try_form=form, outputs=outputs)


def _named(model: LanguageModel, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each answer with the name of the model that gave it."""
    names = {model.pk: str(model), model.base_model_id: str(model.base_model)}
    return [{**output, "name": names[output["model_id"]]} for output in outputs]


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    model = find_model(request, pk)
    name = str(model)
    delete_model(model=model)
    messages.success(request, f"“{name}” was deleted.")
    return redirect("models")
