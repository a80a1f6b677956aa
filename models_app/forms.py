"""The forms of the model pages. They check types and presence; the verbs refuse the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from models_app.services.try_prompt import MAX_NEW_TOKENS, Params


class LinesField(forms.CharField):
    """One text a line. A line that has to hold a line break spells it \\n."""

    def __init__(self, **kwargs: Any):
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}), **kwargs)

    def clean(self, value: Any) -> list[str]:
        lines = super().clean(value).replace("\r\n", "\n").split("\n")
        return [line.replace("\\n", "\n") for line in lines if line]


class AddModelForm(forms.Form):
    repo_id = forms.CharField(
        label="Hub repository",
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "owner/name", "autocomplete": "off", "spellcheck": "false"}),
    )
    revision = forms.CharField(required=False, max_length=64, help_text="Commit, branch or tag; empty for the default branch.")


class EditModelForm(forms.Form):
    name = forms.CharField(max_length=200)
    version_tag = forms.CharField(label="Tag", required=False, max_length=50, help_text="A short word, such as “production”.")
    version_notes = forms.CharField(label="Notes", required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 4}))


class TryForm(forms.Form):
    prompt = forms.CharField(widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Ask the model something"}))
    system = forms.CharField(
        label="System prompt",
        required=False,
        help_text="What it should be and how it should answer.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    temperature = forms.FloatField(
        initial=Params.temperature,
        help_text="0 always takes the likeliest word.",
        widget=forms.NumberInput(attrs={"min": 0, "max": 2, "step": 0.1}),
    )
    max_new_tokens = forms.IntegerField(
        label="Longest answer, tokens",
        initial=Params.max_new_tokens,
        widget=forms.NumberInput(attrs={"min": 1, "max": MAX_NEW_TOKENS}),
    )
    top_p = forms.FloatField(
        label="Top-p",
        initial=Params.top_p,
        required=False,
        help_text="Draw from the likeliest words that together have this share; 1 leaves none out.",
        widget=forms.NumberInput(attrs={"min": 0.05, "max": 1, "step": 0.05, "placeholder": "1"}),
    )
    seed = forms.IntegerField(
        required=False,
        help_text="The same seed draws the same answer again.",
        widget=forms.NumberInput(attrs={"min": 0, "placeholder": "another one each time"}),
    )
    stop = LinesField(
        label="Stop at", help_text="The answer ends before the first of these texts; one a line, \\n for a line break."
    )
    compare = forms.BooleanField(label="Compare with the base model", required=False, initial=True)

    def __init__(self, *args: Any, comparable: bool, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if not comparable:
            del self.fields["compare"]

    def clean_top_p(self) -> float:
        given = self.cleaned_data["top_p"]
        return Params.top_p if given is None else given

    def params(self) -> Params:
        """How to answer."""
        names = ("max_new_tokens", "temperature", "top_p", "seed")
        return Params(**{name: self.cleaned_data[name] for name in names}, stop=tuple(self.cleaned_data["stop"]))

    def body(self, base_id: int | None) -> dict[str, Any]:
        """The same body as POST /api/models/{id}/test."""
        data = dict(self.cleaned_data)
        compare = data.pop("compare", False)
        return {**data, "compare_with": [base_id] if compare and base_id else []}
