"""The forms that speak of the Hub: searching it and pushing to it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.utils.functional import SimpleLazyObject

from finetune.core.templatetags.ui import size
from models_app.models import LanguageModel
from models_app.services.push_model import merge_bytes

SORTS = (("downloads", "Most downloads"), ("likes", "Most likes"), ("trending", "Trending"), ("updated", "Newest change"))
SIZES = (("", "Any size"), ("under-500m", "Under 500 M"), ("500m-2b", "500 M – 2 B"), ("2b-5b", "2 – 5 B"), ("5b-10b", "5 – 10 B"),
         ("10b-40b", "10 – 40 B"), ("over-40b", "Over 40 B"))  # fmt: skip
TASKS = (("text-generation", "Text generation"), ("", "Any task"))
LICENSES = (
    ("", "Any licence"),
    *((name, name) for name in ("apache-2.0", "mit", "llama3.1", "llama3.2", "llama3.3", "gemma", "cc-by-4.0", "other")),
)
LIBRARIES = (("transformers", "transformers"), ("", "Any library"))


class HubSearchForm(forms.Form):
    q = forms.CharField(required=False, max_length=200)
    sort = forms.ChoiceField(choices=SORTS, required=False)
    size = forms.ChoiceField(choices=SIZES, required=False)
    task = forms.ChoiceField(choices=TASKS, required=False)
    license = forms.ChoiceField(choices=LICENSES, required=False)
    library = forms.ChoiceField(choices=LIBRARIES, required=False)
    author = forms.CharField(required=False, max_length=200)
    page = forms.IntegerField(required=False, min_value=1, max_value=50)

    def wanted(self) -> dict[str, Any]:
        """What the verb takes."""
        data = self.cleaned_data
        return {**data, "sort": data["sort"] or "downloads", "page": data["page"] or 1}


class PushForm(forms.Form):
    repo_id = forms.CharField(
        label="Repository",
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "owner/name", "autocomplete": "off", "spellcheck": "false"}),
        help_text="You or an organisation of yours; made if it is not there.",
    )
    private = forms.BooleanField(required=False, initial=True, label="Private: only you and your organisation can see it")
    merge = forms.BooleanField(required=False, label="Merge the adapter into its base")
    commit_message = forms.CharField(label="Commit message", required=False, max_length=200)

    def __init__(self, *args: Any, model: LanguageModel, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if model.adapter:
            words: Any = SimpleLazyObject(partial(_merge_words, model))  # files are read only for a page that shows it
            self.fields["merge"].help_text = words
        else:
            del self.fields["merge"]


def _merge_words(model: LanguageModel) -> str:
    needed = merge_bytes(model)
    return "A whole model that needs no peft" + (f"; merging it takes about {size(needed)} of memory." if needed else ".")
