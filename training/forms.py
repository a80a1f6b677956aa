"""The form of a new job. Its hyper-parameters are generated from the engine's spec; every rule is the verb's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse_lazy

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.engine.options import GROUPS
from training.engine.spec import METHODS
from training.spec_fields import describe_fields, form_field, form_value

# When the method changes, htmx fetches the options that fit it, with what was typed.
OPTIONS_FOLLOW = {
    "hx-get": reverse_lazy("job-new"),
    "hx-target": "#options",
    "hx-include": "closest form",
    "hx-params": "not csrfmiddlewaretoken",
}


class ModelChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: LanguageModel) -> str:
        return f"{obj}" if not obj.repo_id else f"{obj} ({obj.repo_id})"


class DatasetChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Dataset) -> str:
        return f"{obj} · {obj.rows:,} rows" if obj.rows is not None else str(obj)


class JobForm(forms.Form):
    """Name, model, dataset, method, and the method's options: left empty, an option takes its recommended value."""

    name = forms.CharField(
        max_length=200,
        required=False,
        help_text="Versions of the tuned model carry this name and count up. Left empty, it is named after model and dataset.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    model_id = ModelChoice(
        queryset=LanguageModel.objects.none(),
        label="Base model",
        empty_label="Choose a model",
        error_messages={"required": "Choose a model."},
    )
    dataset_id = DatasetChoice(
        queryset=Dataset.objects.none(),
        label="Dataset",
        empty_label="Choose a dataset",
        error_messages={"required": "Choose a dataset."},
    )
    train_split = forms.ChoiceField(label="Learn from", required=False)
    eval_split = forms.ChoiceField(label="Evaluate on", required=False)
    method = forms.ChoiceField(choices=[(name, method_words(name)) for name in METHODS])

    def __init__(self, data: Any = None, *, owner: User, method: str, initial: dict[str, Any] | None = None):
        super().__init__(data, initial={"method": method, **(initial or {})})
        self.fields["model_id"].queryset = usable_models(owner)  # type: ignore[attr-defined]
        self.fields["dataset_id"].queryset = usable_datasets(owner)  # type: ignore[attr-defined]
        self.split_names = split_names(owner)
        self.fields["train_split"].choices = [("", "The train split, or all rows"), *((name, name) for name in self.split_names)]  # type: ignore[attr-defined]
        self.fields["eval_split"].choices = [("", "Rows held out by fraction"), *((name, name) for name in self.split_names)]  # type: ignore[attr-defined]
        self.fields["method"].help_text = METHODS[method]
        self.fields["method"].widget.attrs |= OPTIONS_FOLLOW
        self.options = describe_fields(method)
        for item in self.options:
            self.fields[item["name"]] = form_field(item)

    def simple(self) -> list[forms.BoundField]:
        """The options most people look at."""
        return [self[item["name"]] for item in self.options if not item["advanced"]]

    def advanced(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The others, by group."""
        groups: dict[str, list[forms.BoundField]] = {}
        for item in self.options:
            if item["advanced"]:
                groups.setdefault(GROUPS.get(item["group"], item["group"]), []).append(self[item["name"]])
        return list(groups.items())

    def advanced_is_open(self) -> bool:
        """Shown unfolded when something in it was typed or is wrong; values we suggest ourselves stay folded."""
        return any(field.errors or (self.is_bound and field.value()) for _, fields in self.advanced() for field in fields)

    def config(self) -> dict[str, Any]:
        """What was filled in, as create_job wants it."""
        filled = {item["name"]: (item, self.cleaned_data.get(item["name"], "").strip()) for item in self.options}
        return {name: form_value(item, text) for name, (item, text) in filled.items() if text}

    def job_values(self) -> dict[str, Any]:
        """Arguments for create_job."""
        model, dataset = self.cleaned_data["model_id"], self.cleaned_data["dataset_id"]
        name = self.cleaned_data["name"] or f"{model.name} on {dataset.name}"[:200]
        ids = {"model_id": model.pk, "dataset_id": dataset.pk}
        splits = {name: self.cleaned_data[name] for name in ("train_split", "eval_split")}
        return {"name": name, **ids, **splits, "method": self.cleaned_data["method"], "config": self.config()}


class TemplateForm(forms.Form):
    """What one's own template is called; every rule is the verb's."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="What it is good for.")


def usable_models(owner: User) -> Any:
    """Whole models that are on this machine."""
    return LanguageModel.objects.for_user(owner).filter(status=LanguageModel.Status.READY, adapter=False)


def split_names(owner: User) -> list[str]:
    """The names of all splits of the datasets that were divided; none where none was."""
    divided = usable_datasets(owner).exclude(split_plan={})
    return sorted({name for splits in divided.values_list("splits", flat=True) for name in splits}, key=_usual_order)


def _usual_order(name: str) -> tuple[int, str]:
    usual = ("train", "validation", "test")
    return (usual.index(name) if name in usual else len(usual), name)


def usable_datasets(owner: User) -> Any:
    """Datasets that passed their check."""
    return Dataset.objects.for_user(owner).filter(status=Dataset.Status.READY)
