"""What a model can be exported as, in which number formats, and why not."""

from __future__ import annotations

import json

from django.conf import settings

from finetune.core import store
from finetune.core.errors import Conflict, Invalid, invalid_field
from models_app.inference.llamacpp.families import CannotConvert, family_of
from models_app.models import Export, LanguageModel

F = Export.Format
FLOATS = ("bf16", "fp16", "fp32")
PLAIN = ("f16", "bf16", "f32", "q8_0")
K_QUANTS = ("q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m", "q2_k")
# Share of a float16 file's bytes, about.
SHARES = {"f32": 2.0, "fp32": 2.0, "q8_0": 0.54, "q6_k": 0.41, "q5_k_m": 0.36, "q5_k_s": 0.35, "q4_k_m": 0.31, "q4_k_s": 0.29,
          "q3_k_m": 0.25, "q2_k": 0.2}  # fmt: skip


def gguf_types() -> tuple[str, ...]:
    """Number formats for GGUF here: k-quants only where the operator named llama.cpp's own program."""
    return (*PLAIN, *K_QUANTS) if settings.LLAMA_QUANTIZE else PLAIN


def checked(model: LanguageModel, format: str, quantization: str) -> tuple[str, str]:
    """The format and number format, written as we write them; raises why this model has no such export."""
    format, quantization = format.strip().lower(), quantization.strip().lower()
    if format not in F.values:
        raise invalid_field("format", f"Choose one of: {', '.join(F.values)}.")
    if model.status != LanguageModel.Status.READY:
        raise Conflict(f"“{model}” is not ready.", code="not_ready")
    if format == F.ADAPTER and not model.adapter:
        raise invalid_field("format", f"“{model}” is a whole model; there is no adapter to export.")
    if format == F.GGUF:
        quantization = quantization or "f16"
        _refuse_family(model)
    _refuse_number_format(format, quantization)
    return format, quantization


def _refuse_number_format(format: str, quantization: str) -> None:
    known: tuple[str, ...] = {F.ADAPTER: (), F.MERGED: FLOATS, F.GGUF: gguf_types()}[F(format)]
    if not quantization or quantization in known:
        return
    if format == F.GGUF and quantization in K_QUANTS:
        words = f"{quantization} needs llama.cpp's llama-quantize, which this server has not (LLAMA_QUANTIZE). Choose one of: "
        raise invalid_field("quantization", words + ", ".join(known) + ".")
    if not known:
        raise invalid_field("quantization", "An adapter is exported as it is; leave the number format empty.")
    raise invalid_field("quantization", f"Choose one of: {', '.join(known)}.")


def _refuse_family(model: LanguageModel) -> None:
    try:
        family_of(json.loads(store.read_text(model.whole.place, "config.json")))
    except (OSError, ValueError):
        raise Invalid(f"The files of “{model.whole}” have no readable config.json.", code="bad_model") from None
    except CannotConvert as error:
        raise invalid_field("format", f"“{model}”: {error}.", code="cannot_convert") from None


def why_no_gguf(model: LanguageModel) -> str:
    """The reason in words; empty where it can be written."""
    try:
        _refuse_family(model)
    except Invalid as error:
        return error.message
    return ""


def bytes_needed(model: LanguageModel, format: str, quantization: str) -> int:
    """Disk that making it takes at its largest, about: what stays, and what is only there meanwhile."""
    if format == F.ADAPTER:
        return 0  # links
    whole = model.whole
    merged = int(whole.bytes * SHARES.get(quantization, 1.0) / _share_of(whole)) if format == F.MERGED else 0
    if format == F.GGUF:
        half = whole.bytes / _share_of(whole)
        merged = int(half * SHARES.get(quantization, 1.0)) + (whole.bytes if model.adapter else 0)
        merged += int(half) if quantization in K_QUANTS else 0
    return merged


def _share_of(model: LanguageModel) -> float:
    return 2.0 if model.dtype == "float32" else 1.0
