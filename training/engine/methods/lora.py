"""LoRA: the base stays frozen, small low-rank matrices beside its linear layers learn."""

from __future__ import annotations

from typing import Any

from training.engine.attempt import Attempt
from training.engine.model import find_device, load_model, load_tokenizer, target_modules, uses_bf16
from training.engine.resume import find_checkpoint
from training.engine.supervised import fit, load_examples, sft_trainer


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_device()
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    # A frozen base loses nothing in bfloat16 that autocast would not round anyway, and takes half the memory.
    base = load_model(attempt, half=uses_bf16(attempt.config, device))
    model = with_adapter(attempt, base)
    resumed = find_checkpoint(attempt)
    trainer = sft_trainer(attempt, device, model, tokenizer, examples, resumed)
    return fit(attempt, trainer, tokenizer, resumed)


def with_adapter(attempt: Attempt, base: Any) -> Any:
    """The base wrapped with a fresh adapter, drawn from the run's seed; the adapter's weights are float32."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    config = attempt.config
    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=target_modules(base, config.lora_target_modules),
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
    )
    set_seed(config.seed)
    return get_peft_model(base, settings)
