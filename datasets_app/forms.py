"""The forms of the dataset pages. They check types and presence; what can't be done is refused by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.formats.schemas import FIELDS


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files, at least one."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, (list, tuple)) else [data]
        return [super(FilesField, self).clean(file, initial) for file in files or [None]]


class MappingForm(forms.Form):
    """Our field ← the name of a column, as a short form may send it; what is left out is not mapped. The mapping screen has its own."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for field in FIELDS:
            self.fields[f"map_{field}"] = forms.CharField(required=False, max_length=200)

    def mapping(self) -> dict[str, str]:
        return {field: column for field in FIELDS if (column := self.cleaned_data.get(f"map_{field}", ""))}


class EditForm(forms.Form):
    """A dataset's name and description."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3}))
