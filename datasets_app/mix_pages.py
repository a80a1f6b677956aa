"""The pages about several datasets: combine them, and the quality gates that hold for all of one's own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from datasets_app.gates import gates_of_owner, shown
from datasets_app.insight_forms import GatesForm
from datasets_app.models import Dataset
from datasets_app.services.mix_datasets import MOST_ROWS, Part, mix_datasets
from datasets_app.services.preview_mixture import preview_mixture
from datasets_app.services.set_gates import set_gates
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page

OFFERED = 200  # the newest datasets


class MixtureForm(forms.Form):
    """A mixture's name and size, and for each dataset whether it is in and its weight."""

    name = forms.CharField(max_length=200, label="Name of the mixture")
    rows = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_ROWS, label="Rows in all",
        help_text="Left empty: as many as there are without repeating one.",
    )  # fmt: skip
    seed = forms.IntegerField(initial=42, min_value=0, max_value=2**63 - 1, help_text="The same seed takes the same rows.")

    def __init__(self, *args: Any, datasets: list[Dataset], chosen: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.datasets = datasets
        for dataset in datasets:
            self.fields[f"use-{dataset.pk}"] = forms.BooleanField(required=False, initial=str(dataset.pk) == chosen)
            self.fields[f"weight-{dataset.pk}"] = forms.FloatField(required=False, initial=1, min_value=0, max_value=1e9)

    def lines(self) -> list[tuple[Dataset, Any, Any]]:
        """(dataset, its checkbox, its weight) of each."""
        return [(dataset, self[f"use-{dataset.pk}"], self[f"weight-{dataset.pk}"]) for dataset in self.datasets]

    def parts(self) -> list[Part]:
        """What is chosen; a weight left empty is 1."""
        data = self.cleaned_data
        used = [dataset for dataset in self.datasets if data.get(f"use-{dataset.pk}")]
        return [Part(dataset, 1.0 if (weight := data.get(f"weight-{dataset.pk}")) is None else weight) for dataset in used]


@require_http_methods(["GET", "POST"])
def mix(request: HttpRequest) -> HttpResponse:
    """GET shows the form, POST shows what would become of it or makes it (`action=make`)."""
    found = Dataset.objects.for_user(request.user).filter(status=Dataset.Status.READY)
    datasets = list(found.order_by("-created_at", "-pk")[:OFFERED])
    if request.method == "GET":
        form = MixtureForm(datasets=datasets, chosen=request.GET.get("dataset", ""))
        return render_page(request, "datasets/mix.html", {"form": form})
    making = request.POST.get("action") == "make"
    form = MixtureForm(request.POST, datasets=datasets)
    context: dict[str, Any] = {"form": form}
    valid = form.is_valid()
    try:
        if making and valid:
            data = form.cleaned_data
            made = mix_datasets(owner=request.user, name=data["name"], parts=form.parts(), rows=data["rows"], seed=data["seed"])  # type: ignore[arg-type]
            messages.success(request, "The mixture is being made.")
            return redirect("dataset", made.pk)
        context["shares"] = preview_mixture(parts=form.parts(), rows=form.cleaned_data.get("rows"))
        context["total"] = sum(share.taken for share in context["shares"])
    except DomainError as error:
        context["trouble"] = error.message
        if making:
            refuse(form, error)
    return render_page(request, "datasets/mix.html", context, fragment="preview", status=400 if making else 200)


@require_http_methods(["GET", "POST"])
def own_gates(request: HttpRequest) -> HttpResponse:
    """The user's own gates; a POST adds one or takes one (`remove`) away."""
    form, own = GatesForm(request.POST or None), dict(gates_of_owner(request.user))
    if request.method == "POST":
        removed = request.POST.get("remove")
        if removed is not None:
            own.pop(removed, None)
        elif form.is_valid():
            own[form.cleaned_data["rule"]] = form.cleaned_data["tolerated"]
        if removed is not None or form.is_valid():
            set_gates(owner=request.user, gates=own)  # type: ignore[arg-type]
            messages.success(request, "Saved. They hold for every file that is read from now on.")
            return redirect("own-gates")
    status = 400 if request.method == "POST" else 200
    return render_page(request, "datasets/gates.html", {"form": form, "gates": shown(own)}, status=status)
