"""The form of a new job. Its hyper-parameters are generated from the engine's spec; every rule is the verb's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django import forms
from django.urls import reverse_lazy

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.builtin_templates import BuiltIn
from training.engine.quantization import obstacle
from training.engine.spec import METHOD_KINDS, METHODS
from training.executors import load
from training.models import JobTemplate
from training.option_form import OptionForm
from training.place_cards import PlaceCard, chosen_hardware, known_place, place_cards
from training.refusals import KIND_WORDS
from training.services.suggest_config import Suggestion, suggest_config
from training.spec_fields import describe_fields
from training.template_list import list_templates
from training.tracking import tracker_choices

# When one of these changes, htmx fetches the options that fit the new choice, with what was typed.
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


@dataclass(frozen=True)
class Card:
    """One of a few things to choose from, with a word about it and, where it can't be chosen, why."""

    value: str
    label: str
    help: str
    reason: str
    checked: bool


class JobForm(OptionForm):
    """Name, model, dataset, method, and the method's options: left empty, an option takes the value shown in grey.

    That is the method's default, or what suits this model, data and device better. The latter travel along in `suggested`, so
    that what is sent is what was shown.
    """

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
        widget=forms.Select(attrs=OPTIONS_FOLLOW),
    )
    dataset_id = DatasetChoice(
        queryset=Dataset.objects.none(),
        label="Dataset",
        empty_label="Choose a dataset",
        error_messages={"required": "Choose a dataset."},
        widget=forms.Select(attrs=OPTIONS_FOLLOW),
    )
    train_split = forms.CharField(label="Learn from", required=False)
    eval_split = forms.CharField(label="Evaluate on", required=False)
    method = forms.ChoiceField(choices=[(name, method_words(name)) for name in METHODS])
    executor = forms.CharField(label="Runs on", required=False)
    budget = forms.CharField(
        label="Budget in US dollars", required=False, help_text="The run is stopped, with a checkpoint, when it is used up. Empty: none.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )  # fmt: skip
    keep_remote = forms.BooleanField(
        label="Leave what the provider holds when the run has ended",
        required=False,
        help_text="Stopped, so that it costs no computing.",
    )
    confirm_cost = forms.BooleanField(label="It may cost more than this month's limit", required=False)
    hardware = forms.CharField(required=False)  # each place has a list of its own: see place_cards.hardware_field
    report_to = forms.MultipleChoiceField(label="Send curves to", required=False, widget=forms.CheckboxSelectMultiple)
    template = forms.ChoiceField(label="Start from", required=False)
    suggested = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, owner: User, method: str = "", initial: dict[str, Any] | None = None):
        chosen = data if data is not None else initial or {}
        self.asks_to_confirm = False
        self.owner, self.place = owner, known_place(chosen.get("executor"))
        models, datasets = usable_models(owner), usable_datasets(owner)
        self.model, self.dataset = _chosen(models, chosen, "model_id"), _chosen(datasets, chosen, "dataset_id")
        self.chosen_method = _method(chosen.get("method") or method, None if data is not None else self.dataset, self.place)
        super().__init__(data, initial={"executor": "local", **(initial or {}), "method": self.chosen_method})
        self.fields["model_id"].queryset = models  # type: ignore[attr-defined]
        self.fields["dataset_id"].queryset = datasets  # type: ignore[attr-defined]
        self._offer_splits()
        self.fields["report_to"].choices = tracker_choices(owner)  # type: ignore[attr-defined]
        self.fields["template"].choices = template_choices(owner, self.chosen_method)  # type: ignore[attr-defined]
        self.fields["template"].widget.attrs |= OPTIONS_FOLLOW
        self.suggestions = self._suggestions() if data is None else _sent_along(data)
        self.initial["suggested"] = json.dumps({name: item.value for name, item in self.suggestions.items()})
        self.offer(describe_fields(self.chosen_method), self.suggestions)

    def _offer_splits(self) -> None:
        names = sorted(self.dataset.splits, key=_usual_order) if self.dataset else []
        self.has_splits = len(names) > 1
        for field, empty in (("train_split", "The train split, or all rows"), ("eval_split", "Rows held out by fraction")):
            choices = [("", empty), *((name, f"{name} · {self.dataset.splits[name]:,} rows") for name in names)]  # type: ignore[union-attr]
            self.fields[field].widget = forms.Select(choices=choices)

    def _suggestions(self) -> dict[str, Suggestion]:
        if self.model is None or _unfit(self.chosen_method, self.dataset, self.place):
            return {}
        return suggest_config(model=self.model, dataset=self.dataset, method=self.chosen_method)

    # --- What the template shows -------------------------------------------------------------------

    def method_cards(self) -> list[Card]:
        """Every method; those that can't learn from the chosen dataset with the reason."""
        return [
            Card(name, method_words(name), words, _unfit(name, self.dataset, self.place), name == self.chosen_method)
            for name, words in METHODS.items()
        ]

    def places(self, **known: Any) -> list[PlaceCard]:
        """Where it can run, with what is `known` of it there."""
        return place_cards(self.owner, self.data if self.is_bound else self.initial, **known)

    def obstacle(self) -> str:
        """Why nothing can be started with this dataset, or nothing."""
        if self.dataset and all(card.reason for card in self.method_cards()):
            return f"No method learns from {KIND_WORDS.get(self.dataset.kind, self.dataset.kind)} yet. Choose another dataset."
        return ""

    def note(self) -> str:
        """What to know about the values in grey."""
        if any(not item.reason for item in self.suggestions.values()) and not self.is_bound:
            return "The values in grey suit the small sample model. A real model takes smaller steps and fewer epochs."
        return ""

    # --- What it says ------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """What was filled in, and what was suggested where nothing was, as create_job wants it."""
        known = {item["name"] for item in self.options}
        return {name: item.value for name, item in self.suggestions.items() if name in known} | self.filled()

    def job_values(self) -> dict[str, Any]:
        """Arguments for create_job."""
        model, dataset = self.cleaned_data["model_id"], self.cleaned_data["dataset_id"]
        name = self.cleaned_data["name"] or f"{model.name} on {dataset.name}"[:200]
        rest = {name: self.cleaned_data[name] for name in ("train_split", "eval_split", "method")}
        rest |= {"executor": self.place, "hardware": chosen_hardware(self.place, self.data)}
        rest |= {"budget": self.cleaned_data["budget"], "keep_remote": self.cleaned_data["keep_remote"]}
        rest |= {"report_to": self.cleaned_data["report_to"]}
        return {"name": name, "model_id": model.pk, "dataset_id": dataset.pk, **rest, "config": self.config()}


def _chosen(rows: Any, values: Any, field: str) -> Any:
    text = str(values.get(field) or "")
    return rows.filter(pk=text).first() if text.isdecimal() and len(text) < 19 else None


def _method(wanted: str, dataset: Dataset | None, place: str) -> str:
    """The wanted method if there is one and it can learn from the dataset, else the first that can."""
    fitting = [name for name in METHODS if not _unfit(name, dataset, place)] or list(METHODS)
    return wanted if wanted in fitting else fitting[0]


def _unfit(method: str, dataset: Dataset | None, place: str) -> str:
    """Why a method can't be chosen: this machine can't do it, or it can't learn from the dataset; nothing when it can."""
    if method == "qlora" and load(place).is_here and (reason := obstacle()):
        return reason
    if dataset is None or dataset.kind in METHOD_KINDS[method]:
        return ""
    needed = " or ".join(KIND_WORDS[kind] for kind in METHOD_KINDS[method])
    return f"Needs {needed}; this dataset holds {KIND_WORDS.get(dataset.kind, dataset.kind)}."


def _sent_along(data: Any) -> dict[str, Suggestion]:
    """The suggestions that were on the page that was sent; anything else is no suggestion."""
    try:
        values = json.loads(data.get("suggested") or "{}")
    except ValueError:
        return {}
    return {name: Suggestion(value, "") for name, value in values.items()} if isinstance(values, dict) else {}


def template_choices(owner: User, method: str) -> list[Any]:
    """The built-in ones of the method, and all of one's own."""
    found = list_templates(owner)
    built_in = [(item.id, item.name) for item in found if isinstance(item, BuiltIn) and item.method == method]
    own = [(str(item.pk), f"{item.name} ({method_words(item.method)})") for item in found if isinstance(item, JobTemplate)]
    groups = [("Built in", built_in)] + ([("Yours", own)] if own else [])
    return [("", "Recommended values"), *groups]


class TemplateForm(forms.Form):
    """What one's own template is called; every rule is the verb's."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="What it is good for.")


def usable_models(owner: User) -> Any:
    """Whole models that are on this machine."""
    return LanguageModel.objects.for_user(owner).filter(status=LanguageModel.Status.READY, adapter=False)


def _usual_order(name: str) -> tuple[int, str]:
    usual = ("train", "validation", "test")
    return (usual.index(name) if name in usual else len(usual), name)


def usable_datasets(owner: User) -> Any:
    """Datasets that passed their check."""
    return Dataset.objects.for_user(owner).filter(status=Dataset.Status.READY)
