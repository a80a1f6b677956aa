"""LoRA: the base stays frozen, small low-rank matrices beside its linear layers learn."""

from __future__ import annotations

from training.engine.adapter import load_base, with_adapter
from training.engine.attempt import Attempt
from training.engine.model import find_device, load_tokenizer
from training.engine.resume import find_checkpoint
from training.engine.supervised import fit, load_examples, sft_trainer


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_device()
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    model = with_adapter(attempt, load_base(attempt, device, "lora"))
    resumed = find_checkpoint(attempt)
    trainer = sft_trainer(attempt, device, model, tokenizer, examples, resumed)
    return fit(attempt, trainer, tokenizer, resumed)
