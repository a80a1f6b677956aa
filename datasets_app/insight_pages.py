"""A dataset's tabs beside its rows: problems and fixes, statistics, splits, versions and their differences."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app.differing import differing
from datasets_app.formats.rules import RULES, title_of
from datasets_app.gates import gates_of, shown
from datasets_app.insight_forms import CheckForm, GatesForm, SplitForm
from datasets_app.models import Dataset, Measurement
from datasets_app.services.cancel_measurement import cancel_measurement
from datasets_app.services.diff_versions import WHATS, diff_versions
from datasets_app.services.fix_dataset import fix_dataset
from datasets_app.services.list_versions import list_versions
from datasets_app.services.measure_dataset import await_measurement, measure_dataset
from datasets_app.services.read_statistics import read_statistics
from datasets_app.services.set_gates import set_gates
from datasets_app.services.split_dataset import split_dataset
from datasets_app.services.validate_dataset import validate_dataset
from finetune.core.errors import Conflict, DomainError
from finetune.core.pages import refuse, render_page

CHANGES_A_PAGE = 10
COUNT_WAIT = 1.0  # seconds; then the page shows how far counting is


def find(request: HttpRequest, pk: int) -> Dataset:
    return get_object_or_404(Dataset.objects.for_user(request.user), pk=pk)


def tokenizers_of(request: HttpRequest, *also: Any) -> list[Any]:
    """The user's models whose tokenizer may be on this machine: of each family its latest version, and those with the ids `also`."""
    ready = request.user.language_models.filter(status="ready").only("owner", "name", "kind", "version")  # type: ignore[union-attr, misc]
    return list(ready.filter(Q(is_latest=True) | Q(pk__in=[pk for pk in also if pk])))


def chosen_number(request: HttpRequest, name: str, least: int = 1) -> int | None:
    """A number of the address or the form, where it is one."""
    text = request.GET.get(name, "") or request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 12 and int(text) >= least else None


# --- Problems ---------------------------------------------------------------------------------------------------------------


@require_GET
def problems(request: HttpRequest, pk: int) -> HttpResponse:
    return _problems(request, find(request, pk))


def _problems(request: HttpRequest, dataset: Dataset, *, status: int = 200, **forms: Any) -> HttpResponse:
    groups = grouped(dataset)
    models = tokenizers_of(request, dataset.checks.get("tokenizer_model_id"))
    wanted = request.GET.get("severity", "")
    checks = {"tokenizer_model_id": dataset.checks.get("tokenizer_model_id"), "max_length": dataset.checks.get("max_length")}
    context = {
        "dataset": dataset,
        "tab": "problems",
        "groups": [group for group in groups if wanted in ("", group["severity"])],
        "severity": wanted,
        "counts": {level: sum(group["severity"] == level for group in groups) for level in ("error", "warning", "info")},
        "fixable": [group for group in groups if group["fix"]],
        "gates": shown(gates_of(dataset)),
        "check_form": CheckForm(models=models, initial=checks),
        "gates_form": GatesForm(),
        **forms,
    }
    return render_page(request, "datasets/problems.html", context, status=status)


def grouped(dataset: Dataset) -> list[dict[str, Any]]:
    """The problems by rule, errors first, each rule with its count, reason and fix."""
    by_rule: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for problem in dataset.report.get("problems", []):
        by_rule[problem["rule"]].append(problem)
    counts = dataset.report.get("counts", {})
    groups = [
        {
            "rule": rule,
            "title": title_of(rule),
            "severity": found[0]["severity"],
            "count": counts.get(rule, len(found)),
            "why": RULES[rule].why if rule in RULES else "",
            "fix": RULES[rule].fix if rule in RULES else "",
            "in_rows": rule in RULES and RULES[rule].severity != "error" and any(problem["row"] for problem in found),
            "problems": found,
        }
        for rule, found in by_rule.items()
    ]
    order = ("error", "warning", "info")
    return sorted(groups, key=lambda group: (order.index(group["severity"]), -group["count"]))


@require_POST
def fix(request: HttpRequest, pk: int) -> HttpResponse:
    made = fix_dataset(dataset=find(request, pk), rules=request.POST.getlist("rules"), by=request.user)  # type: ignore[arg-type]
    messages.success(request, f"Version {made.version} is being made. This version stays as it is.")
    return redirect("dataset", made.pk)


@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = find(request, pk)
    form = CheckForm(request.POST, models=tokenizers_of(request, chosen_number(request, "tokenizer_model_id")))
    if form.is_valid():
        try:
            validate_dataset(dataset=dataset, **form.cleaned_data)
            return redirect("dataset-problems", pk)
        except DomainError as error:
            refuse(form, error)
    return _problems(request, dataset, status=400, check_form=form)


@require_POST
def gates(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a gate, or take one (`remove`) or all of the dataset's own (`reset`) away."""
    dataset = find(request, pk)
    form, own = GatesForm(request.POST), dict(gates_of(dataset))
    removed = request.POST.get("remove")
    if removed is None and "reset" not in request.POST:
        if not form.is_valid():
            return _problems(request, dataset, status=400, gates_form=form)
        own[form.cleaned_data["rule"]] = form.cleaned_data["tolerated"]
    elif removed is not None:
        own.pop(removed, None)
    set_gates(owner=dataset.owner, dataset=dataset, gates=None if "reset" in request.POST else own)
    return redirect("dataset-problems", pk)


# --- Statistics ---------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def statistics(request: HttpRequest, pk: int) -> HttpResponse:
    """Shown for the model that `?model_id=` names; a POST stops counting."""
    dataset = find(request, pk)
    if request.method == "POST":
        running = dataset.measurements.filter(status__in=(Measurement.Status.QUEUED, Measurement.Status.RUNNING)).first()
        if running is None:
            raise Conflict("Nothing is being counted.")
        cancel_measurement(measurement=running)
        return redirect("dataset-statistics", pk)
    model_id, limit = chosen_number(request, "model_id"), chosen_number(request, "max_length", 8)
    context: dict[str, Any] = {"dataset": dataset, "tab": "statistics", "models": tokenizers_of(request, model_id)}
    try:
        context |= _statistics(dataset, model_id, limit)
    except DomainError as error:
        context["refusal"] = error.message
    return render_page(request, "datasets/statistics.html", context | {"model_id": model_id, "max_length": limit})


def _statistics(dataset: Dataset, model_id: int | None, limit: int | None) -> dict[str, Any]:
    measurement = None
    if model_id is not None:
        measurement = await_measurement(measurement=measure_dataset(dataset=dataset, model_id=model_id), seconds=COUNT_WAIT)
    found = read_statistics(dataset=dataset, measurement=measurement, max_length=limit)
    progress = found["progress"] or {}
    fraction = progress["done"] / progress["total"] if progress.get("total") else None
    return {"found": found, "fraction": fraction, "counting": measurement is not None and found["status"] in ("queued", "running")}


# --- Split --------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def split(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = find(request, pk)
    plan = dataset.split_plan
    form = (
        SplitForm(request.POST)
        if request.method == "POST"
        else SplitForm(initial={name: plan[name] for name in SplitForm.base_fields if name in plan})
    )
    if request.method == "POST" and form.is_valid():
        try:
            dataset = split_dataset(dataset=dataset, by=request.user, **form.values())  # type: ignore[arg-type]
            if not dataset.is_being_divided:
                messages.success(request, "The rows are divided.")
            return redirect("dataset-split", pk)
        except DomainError as error:
            refuse(form, error)
    division = dataset.division or {}
    fraction = division["done"] / division["total"] if division.get("total") else None
    context = {"dataset": dataset, "tab": "split", "form": form, "plan": plan, "fraction": fraction}
    return render_page(request, "datasets/split.html", context, status=400 if form.errors else 200)


# --- Versions -----------------------------------------------------------------------------------------------------------------


@require_GET
def versions(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = find(request, pk)
    entries = list_versions(dataset=dataset)
    others = [entry.dataset for entry in entries if entry.what != "split" and entry.dataset.pk != dataset.pk]
    return render_page(
        request, "datasets/versions.html", {"dataset": dataset, "tab": "versions", "entries": entries, "others": others}
    )


@require_GET
def diff(request: HttpRequest, pk: int) -> HttpResponse:
    """What changed from the version `?with=` names to this one; without it, from the one it was made from."""
    dataset = find(request, pk)
    other = chosen_number(request, "with") or dataset.parent_id
    before = get_object_or_404(Dataset.objects.for_user(request.user), pk=other)
    what = request.GET.get("what", "")
    what = what if what in WHATS else ""
    number = chosen_number(request, "page") or 1
    context: dict[str, Any] = {"dataset": dataset, "tab": "versions", "before": before, "what": what, "whats": WHATS}
    try:
        changes = diff_versions(before=before, after=dataset, what=what, offset=(number - 1) * CHANGES_A_PAGE, limit=CHANGES_A_PAGE)
        context |= {
            "changes": changes,
            "shown": [differing(change) for change in changes.rows],
            "page": Paginator(range(changes.total), CHANGES_A_PAGE).get_page(number),
        }
    except DomainError as error:
        context["refusal"] = error.message
    return render_page(request, "datasets/diff.html", context)
