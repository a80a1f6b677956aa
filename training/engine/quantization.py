"""Four-bit base weights for QLoRA: bitsandbytes' NF4 with double quantisation (Dettmers et al., "QLoRA" (2023))."""

from __future__ import annotations

import platform
from typing import Any

from .attempt import Attempt
from .failures import bad_spec
from .installed import is_missing
from .model import Device, load_model, uses_bf16


def obstacle(*, mac: bool | None = None, installed: bool | None = None) -> str:
    """Why this machine can't hold weights in four bits, with what to do instead; "" when it can. Imports nothing heavy."""
    if platform.system() == "Darwin" if mac is None else mac:
        return "QLoRA needs bitsandbytes, which has no kernels for Apple GPUs. Use lora, or another machine."
    if is_missing("bitsandbytes") if installed is None else not installed:
        return (
            "QLoRA needs the package bitsandbytes, which is not installed here. Install it (pip install bitsandbytes), or use lora."
        )
    return ""


def refuse_unable(field: str, device: Device) -> None:
    """bad_spec, naming the field that asked for QLoRA, where this machine can't do it."""
    reason = obstacle(mac=device.kind == "mps" or None)
    if reason:
        raise bad_spec(field, reason)


def load_quantised(attempt: Attempt, device: Device) -> Any:
    """The base with its linear layers in NF4; what is not quantised (embeddings, norms, head) in the type it computes in."""
    import torch
    from transformers import BitsAndBytesConfig

    refuse_unable("method" if attempt.spec.method == "qlora" else "adapter", device)
    half = uses_bf16(attempt.config, device)
    compute = torch.bfloat16 if half else torch.float16 if attempt.config.fp16 else torch.float32
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )
    model = load_model(attempt, half=half, quantization_config=settings)
    _without_packing(model)
    return model


def _without_packing(model: Any) -> None:
    """On processors with bfloat16 an evaluation would repack the weights for inference, and training could not go on."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
