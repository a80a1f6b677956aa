"""The engine's options as fields of a form: those shown at once, the others by group, and what was typed into them."""

from __future__ import annotations

from typing import Any

from django import forms

from training.engine.options import GROUPS
from training.spec_fields import Suggested, form_field, form_value


class OptionForm(forms.Form):
    """A form with a field for each option that `offer` was given; templates/training/parts/options.html shows them."""

    options: list[dict[str, Any]]

    def offer(self, options: list[dict[str, Any]], suggestions: dict[str, Any] | None = None) -> None:
        """`options` are as training.spec_fields describes them, `suggestions` (Suggested) by option's name."""
        self.options = options
        for item in options:
            suggested: Suggested | None = (suggestions or {}).get(item["name"])
            self.fields[item["name"]] = form_field(item, suggested)

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
        """Shown unfolded when something in it was typed, came from a template or the defaults, or is wrong."""
        return any(field.errors or field.value() for _, fields in self.advanced() for field in fields)

    def filled(self) -> dict[str, Any]:
        """What was filled in, as the verbs want it."""
        texts = {item["name"]: (item, str(self.cleaned_data.get(item["name"]) or "").strip()) for item in self.options}
        return {name: form_value(item, text) for name, (item, text) in texts.items() if text}
