"""The adapter: small low-rank matrices beside the linear layers of a frozen base."""

from __future__ import annotations

import json
import shutil
from typing import Any

from .attempt import Attempt
from .model import Device, load_model, target_modules, uses_bf16
from .options import MUTATING_INITS
from .quantization import load_quantised


def load_base(attempt: Attempt, device: Device, adapter: str) -> Any:
    """The base as an adapter of this kind wants it: lora, qlora, or none, where the base itself learns."""
    if adapter == "qlora":
        return load_quantised(attempt, device)
    # A frozen base loses nothing in bfloat16 that autocast would not round anyway, and takes half the memory. Weights that
    # learn stay in float32: bfloat16 would round away small updates. bf16 only computes in it.
    half = adapter == "lora" and uses_bf16(attempt.config, device)
    # What pissa and olora leave in the base must not be rounded: the result is told as a difference from it.
    return load_model(attempt, half=half and attempt.config.init_lora_weights not in MUTATING_INITS)


def adapter_settings(attempt: Attempt, base: Any) -> Any:
    """PEFT's description of the adapter that the run's config asks for."""
    from peft import LoraConfig

    config = attempt.config
    beginning: Any = True if config.init_lora_weights == "default" else config.init_lora_weights
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=target_modules(base, config.lora_target_modules),
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
        init_lora_weights=beginning,
    )


def with_adapter(attempt: Attempt, base: Any) -> Any:
    """The base wrapped with a fresh adapter, drawn from the run's seed; the adapter's weights are float32."""
    from peft import get_peft_model
    from transformers import set_seed

    settings = adapter_settings(attempt, base)
    set_seed(attempt.config.seed)
    model = get_peft_model(base, settings)
    keep_beginning(attempt, model)
    return model


def keep_beginning(attempt: Attempt, model: Any) -> None:
    """Save an adapter that changed its base as it begins, by which the result becomes one for the untouched base (output.py).
    A resumed run makes the same one again: it depends on the base and the seed only."""
    if attempt.config.init_lora_weights not in MUTATING_INITS or not attempt.world.is_main:
        return
    from peft.utils import CONFIG_NAME

    beginning = attempt.dir.beginning
    shutil.rmtree(beginning, ignore_errors=True)
    model.save_pretrained(beginning)
    # PEFT reads it back as an adapter like any other, which it must not start from the base's directions once more.
    settings = beginning / CONFIG_NAME
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"init_lora_weights": True}))


def in_full_precision(model: Any) -> Any:
    """The model with what learns in float32. TRL rounds the adapter of a quantised base to bfloat16, where small updates
    are lost and float16's loss scaling fails; the quantised base itself is not touched."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model
