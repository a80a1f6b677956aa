"""The adapter: small low-rank matrices beside the linear layers of a frozen base."""

from __future__ import annotations

from typing import Any

from .attempt import Attempt
from .model import Device, load_model, target_modules, uses_bf16
from .quantization import load_quantised


def load_base(attempt: Attempt, device: Device, adapter: str) -> Any:
    """The base as an adapter of this kind wants it: lora, qlora, or none, where the base itself learns."""
    if adapter == "qlora":
        return load_quantised(attempt, device)
    # A frozen base loses nothing in bfloat16 that autocast would not round anyway, and takes half the memory. Weights that
    # learn stay in float32: bfloat16 would round away small updates. bf16 only computes in it.
    return load_model(attempt, half=adapter == "lora" and uses_bf16(attempt.config, device))


def adapter_settings(attempt: Attempt, base: Any) -> Any:
    """PEFT's description of the adapter that the run's config asks for."""
    from peft import LoraConfig

    config = attempt.config
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=target_modules(base, config.lora_target_modules),
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
    )


def with_adapter(attempt: Attempt, base: Any) -> Any:
    """The base wrapped with a fresh adapter, drawn from the run's seed; the adapter's weights are float32."""
    from peft import get_peft_model
    from transformers import set_seed

    settings = adapter_settings(attempt, base)
    set_seed(attempt.config.seed)
    return get_peft_model(base, settings)


def in_full_precision(model: Any) -> Any:
    """The model with what learns in float32. TRL rounds the adapter of a quantised base to bfloat16, where small updates
    are lost and float16's loss scaling fails; the quantised base itself is not touched."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model
