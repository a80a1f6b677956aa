"""The forms of a dataset's tabs. They check types and presence; what can't be done is refused by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.formats.rules import RULES


class SplitForm(forms.Form):
    """How to divide the rows."""

    train = forms.FloatField(initial=0.9, min_value=0, help_text="A fraction (at most 1), or a count of rows.")
    validation = forms.FloatField(initial=0.1, min_value=0, required=False)
    test = forms.FloatField(initial=0, min_value=0, required=False)
    seed = forms.IntegerField(initial=42, min_value=0, max_value=2**63 - 1, help_text="The same seed gives the same split.")
    shuffle = forms.BooleanField(initial=True, required=False, label="Shuffle by the seed, not in the file's order")
    group_by = forms.CharField(
        required=False, max_length=200, label="Keep together by", help_text="A column; left empty, equal prompts stay together.",
        widget=forms.TextInput(attrs={"list": "columns", "autocomplete": "off"}),
    )  # fmt: skip
    stratify_by = forms.CharField(
        required=False, max_length=200, label="Balance by", help_text="A column whose values every split should have alike.",
        widget=forms.TextInput(attrs={"list": "columns", "autocomplete": "off"}),
    )  # fmt: skip

    def values(self) -> dict[str, Any]:
        data = self.cleaned_data
        return data | {name: data[name] or 0 for name in ("validation", "test")}


class CheckForm(forms.Form):
    """Check again with a model's tokenizer."""

    tokenizer_model_id = forms.TypedChoiceField(coerce=int, empty_value=None, required=False, label="With the tokenizer of")
    max_length = forms.IntegerField(
        required=False,
        min_value=8,
        max_value=1_048_576,
        label="Cut rows at",
        help_text="Tokens: the max_length you will train with.",
    )

    def __init__(self, *args: Any, models: list[Any], **kwargs: Any):
        super().__init__(*args, **kwargs)
        choices = [("", "none: estimate from bytes"), *((model.pk, str(model)) for model in models)]
        self.fields["tokenizer_model_id"].choices = choices  # type: ignore[attr-defined]


class GatesForm(forms.Form):
    """Tolerated shares, one gate a line."""

    rule = forms.ChoiceField(label="Problem")
    tolerated = forms.FloatField(min_value=0, max_value=100, label="Tolerated, % of the rows", initial=0)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        rules = sorted((rule.title, rule.id) for rule in RULES.values() if rule.id != "gate_failed" and rule.level != "file")
        self.fields["rule"].choices = [(rule, title) for title, rule in rules]  # type: ignore[attr-defined]
