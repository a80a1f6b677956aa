"""Full fine-tuning: every weight learns from the examples."""

from __future__ import annotations

from training.engine.attempt import Attempt
from training.engine.model import find_device, load_model, load_tokenizer
from training.engine.resume import find_checkpoint
from training.engine.supervised import fit, load_examples, sft_trainer


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_device()
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    # The weights that learn stay in float32: bfloat16 would round away small updates. bf16 only computes in it.
    model = load_model(attempt, half=False)
    resumed = find_checkpoint(attempt)
    trainer = sft_trainer(attempt, device, model, tokenizer, examples, resumed)
    return fit(attempt, trainer, tokenizer, resumed)
