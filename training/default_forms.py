"""The form of what one's new jobs begin with. Its options are generated from the engine's, its rules are the verb's."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import User
from finetune.core.templatetags.ui import method_words
from training import executors
from training.engine.spec import METHODS
from training.executors import EXECUTORS
from training.option_form import OptionForm
from training.spec_fields import describe_all, form_text
from training.tracker_models import JobDefaults
from training.tracking import tracker_choices


class JobDefaultsForm(OptionForm):
    """Everything may stay empty: the value in grey is then a job's."""

    method = forms.ChoiceField(
        required=False, choices=[("", "What fits the data"), *((name, method_words(name)) for name in METHODS)]
    )
    place = forms.ChoiceField(label="Runs on", required=False)
    report_to = forms.MultipleChoiceField(label="Send curves to", required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any = None, *, owner: User, stored: JobDefaults):
        super().__init__(data, initial=_initial(stored))
        self.fields["place"].choices = places(owner, stored)  # type: ignore[attr-defined]
        self.fields["report_to"].choices = tracker_choices(owner)  # type: ignore[attr-defined]
        self.offer(describe_all())

    def values(self) -> dict[str, Any]:
        """Arguments for save_job_defaults."""
        executor, _, hardware = self.cleaned_data["place"].partition(":")
        told = {name: self.cleaned_data[name] for name in ("method", "report_to")}
        return {**told, "executor": executor, "hardware": hardware, "config": self.filled()}


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
