"""The forms of the side-by-side pages. They check types and presence; the verbs refuse the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.models import Dataset
from models_app.evaluation_forms import dataset_label
from models_app.forms import TryForm
from models_app.sources import list_sources
from models_app.trials import SIDES

FIELDS = tuple(f"source_{side.lower()}" for side in SIDES)


class CompareForm(TryForm):
    """What is asked of whom."""

    blind = forms.BooleanField(
        label="Blind", required=False, help_text="The order is shuffled; you learn who is who when you have voted."
    )

    def __init__(self, *args: Any, owner: Any, chosen: list[str] | None = None, **kwargs: Any):
        super().__init__(*args, comparable=False, **kwargs)
        groups = list_sources(owner)
        known = [ref for _, choices in groups for ref, _ in choices]
        for at, name in enumerate(FIELDS):
            needed = at < 2
            field = forms.ChoiceField(
                label=f"Model {at + 1}", required=needed, choices=groups if needed else [("", "nobody"), *groups]
            )
            given = (chosen or [])[at : at + 1]
            field.initial = given[0] if given and given[0] in known else known[at] if needed and len(known) > at else ""
            self.fields[name] = field
        self.number = len(known)

    @property
    def source_fields(self) -> list[Any]:
        return [self[name] for name in FIELDS]

    def values(self) -> dict[str, Any]:
        """The arguments of `compare_sources`."""
        data = self.cleaned_data
        messages = [{"role": "user", "content": data["prompt"]}]
        if data["system"].strip():
            messages.insert(0, {"role": "system", "content": data["system"]})
        sources = [data[name] for name in FIELDS if data.get(name)]
        return {"sources": sources, "messages": messages, "params": self.params(), "blind": data["blind"]}


class CollectForm(forms.Form):
    """Where the rows go."""

    dataset = forms.ModelChoiceField(
        Dataset.objects.none(),
        required=False,
        empty_label="a new dataset",
        help_text="It gets a new version; the one before stays.",
    )
    name = forms.CharField(
        label="Name of a new dataset",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "my preferences"}),
    )

    def __init__(self, *args: Any, owner: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        mine = Dataset.objects.for_user(owner).filter(status=Dataset.Status.READY, kind=Dataset.Kind.PREFERENCE)
        self.fields["dataset"].queryset = mine.order_by("-pk")  # type: ignore[attr-defined]
        self.fields["dataset"].label_from_instance = dataset_label  # type: ignore[attr-defined]
