"""The forms about Ollama."""

from __future__ import annotations

from typing import Any

from django import forms

from models_app.models import LanguageModel, OllamaCopy
from models_app.ollama_kinds import QUANTIZATIONS

WORDS = {
    "f16": "f16: as it was trained",
    "bf16": "bf16",
    "q8_0": "q8_0: half the size, hardly a difference",
    "q4_k_m": "q4_k_m: a third, made by the server",
    "q4_k_s": "q4_k_s: smaller still, made by the server",
}


class ServerForm(forms.Form):
    server = forms.CharField(
        label="Address",
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "http://127.0.0.1:11434", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Empty: the installation's own.",
    )


class ImportForm(forms.Form):
    name = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "helpdesk:v2", "autocomplete": "off", "spellcheck": "false"}),
        help_text="As in “ollama run …”.",
    )
    quantization = forms.ChoiceField(label="Number format", choices=[(kind, WORDS[kind]) for kind in QUANTIZATIONS], required=False)
    route = forms.ChoiceField(label="Sent as", required=False)
    system = forms.CharField(label="System prompt", required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}))
    template = forms.CharField(
        label="Go template",
        required=False,
        strip=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Empty: written from the model's own chat template, where its layout is known.",
    )
    parameters = forms.JSONField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": '{"temperature": 0.2}', "spellcheck": "false"}),
        help_text="Stop texts and context length come with the model.",
    )
    overwrite = forms.BooleanField(required=False, label="Replace a model of that name")

    def __init__(self, *args: Any, model: LanguageModel, **kwargs: Any):
        super().__init__(*args, **kwargs)
        routes = [("", "What fits"), ("gguf", "GGUF"), ("safetensors", "Safetensors")]
        field = self.fields["route"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*routes, (OllamaCopy.Route.ADAPTER.value, "Base and adapter, each as GGUF")] if model.adapter else routes

    def wanted(self) -> dict[str, Any]:
        """What the verb takes."""
        return {**self.cleaned_data, "parameters": self.cleaned_data["parameters"] or {}}
