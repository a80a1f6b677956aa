"""The forms of the dataset pages. They check types and presence; what can't be done is refused by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.formats.schemas import FIELDS

# The fields people map most come first.
FIRST = ("prompt", "completion", "system", "instruction", "input", "output", "messages", "conversations", "text")
MAPPABLE = (*FIRST, *(field for field in FIELDS if field not in FIRST))
HELP = {"prompt": "the question", "completion": "the answer to learn", "messages": "a list of turns", "text": "plain text"}


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files, at least one."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, (list, tuple)) else [data]
        return [super(FilesField, self).clean(file, initial) for file in files or [None]]


class MappingForm(forms.Form):
    """Our field ← the name of a column; fields left empty are not mapped."""

    def __init__(self, *args: Any, columns: list[str] | None = None, mapping: dict[str, str] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for field in MAPPABLE:
            attributes = {"placeholder": "name of your column", "autocomplete": "off"}
            if columns:
                attributes |= {"list": "columns"}
            self.fields[f"map_{field}"] = forms.CharField(
                label=field, required=False, max_length=200, help_text=HELP.get(field, ""),
                initial=(mapping or {}).get(field, ""), widget=forms.TextInput(attrs=attributes),
            )  # fmt: skip

    def mapping_fields(self) -> list[forms.BoundField]:
        return [self[f"map_{field}"] for field in MAPPABLE]

    def mapping(self) -> dict[str, str]:
        return {field: column for field in MAPPABLE if (column := self.cleaned_data.get(f"map_{field}", ""))}


class UploadForm(MappingForm):
    """One file or many, and what they are."""

    file = FilesField(
        label="Files",
        allow_empty_file=True,
        help_text="JSON, JSONL, CSV or TSV, plain or .gz; or a ZIP of those.",
        widget=FilesInput(attrs={"accept": ".json,.jsonl,.ndjson,.csv,.tsv,.gz,.zip"}),
    )
    name = forms.CharField(required=False, max_length=200, help_text="Left empty, the file's own name. For one file only.")
    description = forms.CharField(required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}))
    field_order = ("file", "name", "description")


class EditForm(forms.Form):
    """A dataset's name and description."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}))
