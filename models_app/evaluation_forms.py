"""The form of an evaluation. It checks types and presence; the verb refuses the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.models import Dataset


class EvaluateForm(forms.Form):
    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label=None, help_text="Best rows that it has not learned from.")
    split = forms.CharField(
        required=False,
        max_length=50,
        help_text="Empty: test where there is one, else validation, else all rows.",
        widget=forms.TextInput(attrs={"placeholder": "test", "autocomplete": "off"}),
    )
    rows = forms.IntegerField(
        initial=100, help_text="From the first on, 2,000 at most.", widget=forms.NumberInput(attrs={"min": 1})
    )
    max_new_tokens = forms.IntegerField(
        label="Longest answer, tokens", initial=128, help_text="Answers are greedy.", widget=forms.NumberInput(attrs={"min": 1})
    )
    pattern = forms.CharField(
        label="Regular expression",
        required=False,
        help_text="Has to be found in the answer (RE2).",
        widget=forms.TextInput(attrs={"spellcheck": "false", "placeholder": r"^\d+$"}),
    )
    schema = forms.CharField(
        label="JSON schema",
        required=False,
        help_text="The answer has to be JSON of this form.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "placeholder": '{"type": "object", "required": ["name"]}'}),
    )

    def __init__(self, *args: Any, owner: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        ready = Dataset.objects.for_user(owner).filter(status=Dataset.Status.READY)
        self.fields["dataset"].queryset = ready.exclude(kind=Dataset.Kind.UNPAIRED)  # type: ignore[attr-defined]
        self.fields["dataset"].label_from_instance = dataset_label  # type: ignore[attr-defined]


def dataset_label(dataset: Dataset) -> str:
    """Name, version and splits."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in dataset.splits.items()) or f"{dataset.rows or 0:,} rows"
    return f"{dataset} v{dataset.version} ({splits})"
