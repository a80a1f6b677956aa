"""The forms that bring data in: files, the Hub, and the mapping screen."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import User
from datasets_app.formats.peers import AXOLOTL
from datasets_app.formats.picking import OPTIONS
from datasets_app.forms import FilesField, FilesInput
from datasets_app.models import SavedMapping

HOWS = (("column", "column"), ("path", "path"), ("template", "template"), ("const", "constant"))
DOCUMENTS = (("", "each line"), ("paragraph", "each paragraph"), ("file", "the whole file"))
# What rows may be, and the fields each is made of.
SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "prompt_completion": ("Prompt and completion", ("prompt", "completion", "system", "history", "tools")),
    "openai": ("Conversation", ("messages", "system", "tools")),
    "alpaca": ("Instruction", ("instruction", "input", "output", "system", "history")),
    "text": ("Plain text", ("text",)),
    "preference": ("Preference", ("prompt", "chosen", "rejected", "system", "tools")),
    "kto": ("Judged answers (KTO)", ("prompt", "completion", "label", "system", "tools")),
}
NEEDED = frozenset({"prompt", "completion", "messages", "instruction", "output", "text", "chosen", "rejected", "label"})
HELP = {
    "prompt": "the question",
    "completion": "the answer to learn",
    "messages": "a list of turns",
    "history": "earlier [question, answer] pairs",
    "label": "true or false",
    "chosen": "the better answer",
    "rejected": "the worse answer",
}


class UploadForm(forms.Form):
    """One file or many, and how to read them."""

    file = FilesField(
        label="Files",
        allow_empty_file=True,
        help_text="JSON, JSONL, CSV, TSV, Parquet or text, also as .gz or .zst; or a ZIP of those. A LLaMA-Factory dataset_info.json is followed.",
        widget=FilesInput(attrs={"accept": ".json,.jsonl,.ndjson,.csv,.tsv,.parquet,.txt,.md,.gz,.zst,.zip"}),
    )
    name = forms.CharField(required=False, max_length=200, help_text="Left empty, the file's own name. For one file only.")
    description = forms.CharField(required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}))
    saved = forms.ModelChoiceField(
        SavedMapping.objects.none(), required=False, label="Saved mapping", empty_label="none: recognise the rows"
    )
    axolotl = forms.ChoiceField(required=False, label="Axolotl type", choices=[("", "none"), *((name, name) for name in AXOLOTL)])
    document = forms.ChoiceField(required=False, label="In a plain text, a document is", choices=DOCUMENTS)

    def __init__(self, *args: Any, owner: User, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["saved"].queryset = SavedMapping.objects.for_user(owner)  # type: ignore[attr-defined]

    def mapping(self) -> dict[str, Any]:
        """As upload_dataset takes it; {} when nothing was said."""
        saved = self.cleaned_data.get("saved")
        mapping = dict(saved.mapping) if saved else {}
        options = {name: value for name in ("axolotl", "document") if (value := self.cleaned_data.get(name))}
        return mapping | ({OPTIONS: mapping.get(OPTIONS, {}) | options} if options else {})


class ImportHubForm(forms.Form):
    """A data set of the Hub."""

    repo_id = forms.CharField(
        label="Repository", max_length=300, widget=forms.TextInput(attrs={"placeholder": "owner/name", "autocomplete": "off"})
    )
    subset = forms.CharField(required=False, max_length=200)
    split = forms.CharField(required=False, max_length=100, help_text="Left empty: train, or all there is.")
    revision = forms.CharField(required=False, max_length=200, help_text="Branch, tag or commit.")


class MapForm(forms.Form):
    """The mapping screen: for one shape, what fills each of its fields."""

    shape = forms.ChoiceField(label="What is a row?", choices=[(name, words) for name, (words, _) in SHAPES.items()])
    document = forms.ChoiceField(required=False, label="In a plain text, a document is", choices=DOCUMENTS)
    role_key = forms.CharField(
        required=False, max_length=100, label="Key of a turn's role", widget=forms.TextInput(attrs={"placeholder": "role"})
    )
    content_key = forms.CharField(
        required=False, max_length=100, label="Key of its text", widget=forms.TextInput(attrs={"placeholder": "content"})
    )
    roles = forms.CharField(
        required=False, max_length=1000, label="Roles",
        help_text="Theirs = ours, with commas: customer = user, agent = assistant. Ours: system, user, assistant, tool, call.",
    )  # fmt: skip
    name = forms.CharField(
        required=False, max_length=100, label="Save as", widget=forms.TextInput(attrs={"placeholder": "a name to use it again"})
    )

    def __init__(self, *args: Any, shape: str, columns: list[str], mapping: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.form_shape = shape if shape in SHAPES else "prompt_completion"
        self.initial.update({"shape": self.form_shape, **_options_shown(mapping or {})})
        for field in SHAPES[self.form_shape][1]:
            how, value = _shown((mapping or {}).get(field, ""))
            self.fields[f"how_{field}"] = forms.ChoiceField(
                label=f"{field} is filled by", choices=HOWS, required=False, initial=how
            )
            box = forms.TextInput(attrs={"autocomplete": "off", **({"list": "columns"} if columns else {})})
            self.fields[f"map_{field}"] = forms.CharField(
                label=field, required=False, strip=False, max_length=2000, help_text=HELP.get(field, ""), initial=value, widget=box
            )

    def picks(self) -> list[tuple[str, bool, forms.BoundField, forms.BoundField]]:
        """(our field, whether it is needed, how it is filled, by what)."""
        return [(field, field in NEEDED, self[f"how_{field}"], self[f"map_{field}"]) for field in SHAPES[self.form_shape][1]]

    def mapping(self) -> dict[str, Any]:
        """As the verbs take it."""
        found: dict[str, Any] = {}
        for field in SHAPES[self.form_shape][1]:
            value, how = self.cleaned_data.get(f"map_{field}", ""), self.cleaned_data.get(f"how_{field}") or "column"
            if value.strip():
                found[field] = value.strip() if how == "column" else {how: value}
        options = {name: value for name in ("document", "role_key", "content_key") if (value := self.cleaned_data.get(name))}
        if self.form_shape in {"openai", "preference", "kto"} and (roles := _roles(self.cleaned_data.get("roles", ""))):
            options["roles"] = roles
        if self.form_shape == "text" and self.cleaned_data.get("document"):
            return {**found, OPTIONS: {"document": self.cleaned_data["document"]}}
        options.pop("document", None)
        return {**found, OPTIONS: options} if options else found


def _shown(pick: Any) -> tuple[str, str]:
    if isinstance(pick, dict):
        ((how, value),) = pick.items()
        return how, str(value)
    return "column", pick


def _options_shown(mapping: dict[str, Any]) -> dict[str, str]:
    options = mapping.get(OPTIONS, {})
    roles = ", ".join(f"{theirs} = {ours}" for theirs, ours in options.get("roles", {}).items())
    return {name: options.get(name, "") for name in ("document", "role_key", "content_key")} | {"roles": roles}


def _roles(text: str) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in text.replace("\n", ",").split(",") if part.strip())
    return {pair[0].strip(): pair[1].strip() if len(pair) > 1 else "" for pair in pairs}
