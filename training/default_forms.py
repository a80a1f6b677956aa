"""The form of what one's new jobs begin with. Its options are generated from the engine's, its rules are the verb's."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import User
from accounts.tracker_accounts import connected
from finetune.core.templatetags.ui import method_words
from training import executors
from training.engine.options import GROUPS
from training.engine.spec import METHODS
from training.executors import EXECUTORS
from training.spec_fields import describe_all, form_field, form_text, form_value
from training.tracker_models import JobDefaults
from training.tracking import NAMES


class JobDefaultsForm(forms.Form):
    """Everything may stay empty: the value in grey is then a job's."""

    method = forms.ChoiceField(
        required=False, choices=[("", "What fits the data"), *((name, method_words(name)) for name in METHODS)]
    )
    place = forms.ChoiceField(label="Runs on", required=False)
    report_to = forms.MultipleChoiceField(label="Send curves to", required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any = None, *, owner: User, stored: JobDefaults):
        self.options = describe_all()
        super().__init__(data, initial=_initial(stored))
        self.fields["place"].choices = places(owner, stored)  # type: ignore[attr-defined]
        mine = connected(owner)
        self.fields["report_to"].choices = [(kind, name) for kind, name in NAMES.items() if kind in mine]  # type: ignore[attr-defined]
        if not mine:
            del self.fields["report_to"]
        for item in self.options:
            self.fields[item["name"]] = form_field(item)

    def simple(self) -> list[forms.BoundField]:
        return [self[item["name"]] for item in self.options if not item["advanced"]]

    def advanced(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The others, by group."""
        groups: dict[str, list[forms.BoundField]] = {}
        for item in self.options:
            if item["advanced"]:
                groups.setdefault(GROUPS.get(item["group"], item["group"]), []).append(self[item["name"]])
        return list(groups.items())

    def advanced_is_open(self) -> bool:
        return any(field.errors or field.value() for _, fields in self.advanced() for field in fields)

    def values(self) -> dict[str, Any]:
        """Arguments for save_job_defaults."""
        texts = {item["name"]: (item, str(self.cleaned_data.get(item["name"]) or "").strip()) for item in self.options}
        executor, _, hardware = self.cleaned_data["place"].partition(":")
        config = {name: form_value(item, text) for name, (item, text) in texts.items() if text}
        told = {"method": self.cleaned_data["method"], "report_to": self.cleaned_data.get("report_to", [])}
        return {**told, "executor": executor, "hardware": hardware, "config": config}


def places(owner: User, stored: JobDefaults) -> list[tuple[str, str]]:
    """This machine, and every machine of the providers this person can use."""
    found = [("", "This machine")]
    for name in EXECUTORS:
        place = executors.load(name)
        told = None if place.is_here else place.capabilities(owner)
        if told and told.usable:
            found += [(f"{name}:{item.id}", f"{told.name}, {item.name}") for item in told.hardware]
    kept = _place(stored)
    return found if kept in dict(found) else [*found, (kept, f"{kept.replace(':', ', ')} (can't be used now)")]


def _place(stored: JobDefaults) -> str:
    return f"{stored.executor}:{stored.hardware}" if stored.executor not in ("", "local") else ""


def _initial(stored: JobDefaults) -> dict[str, Any]:
    options = {name: form_text(value, name) for name, value in stored.config.items()}
    return {"method": stored.method, "place": _place(stored), "report_to": stored.report_to} | options
