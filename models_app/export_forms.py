"""The form that asks for an export."""

from __future__ import annotations

from typing import Any

from django import forms

from models_app.export_kinds import FLOATS, K_QUANTS, gguf_types, why_no_gguf
from models_app.models import LanguageModel

ABOUT = {
    "adapter": "Adapter only",
    "merged": "Whole model",
    "f16": "16 bit, the usual choice",
    "bf16": "16 bit, bfloat16",
    "f32": "32 bit, everything as it is",
    "q8_0": "8 bit, half the size, hardly a difference",
}


class ExportForm(forms.Form):
    kind = forms.ChoiceField(label="Form")

    def __init__(self, *args: Any, model: LanguageModel, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.no_gguf = why_no_gguf(model) if model.status == LanguageModel.Status.READY else ""
        field = self.fields["kind"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices(model, gguf=not self.no_gguf)

    def wanted(self) -> dict[str, str]:
        """What the verb takes."""
        format, _, quantization = self.cleaned_data["kind"].partition(":")
        return {"format": format, "quantization": quantization}


def choices(model: LanguageModel, *, gguf: bool) -> list[Any]:
    plain = [("adapter:", ABOUT["adapter"])] if model.adapter else []
    plain += [("merged:", f"{ABOUT['merged']}, {model.base_model.dtype if model.base_model else model.dtype or 'as it is'}")]
    plain += [(f"merged:{name}", f"{ABOUT['merged']}, {name}") for name in FLOATS]
    groups: list[Any] = [("Hugging Face", plain)]
    if gguf:
        groups.append(("llama.cpp and Ollama", [(f"gguf:{name}", _gguf_words(name)) for name in gguf_types()]))
    return groups


def _gguf_words(name: str) -> str:
    return f"GGUF {name}" + (f": {ABOUT[name]}" if name in ABOUT else ": smaller, by llama-quantize" if name in K_QUANTS else "")
