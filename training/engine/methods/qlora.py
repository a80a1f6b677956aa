"""QLoRA: LoRA over a base whose weights are held in four bits. They are unpacked layer by layer to compute, and never learn."""

from __future__ import annotations

from training.engine.adapter import in_full_precision, load_base, with_adapter
from training.engine.attempt import Attempt
from training.engine.model import find_device, load_tokenizer
from training.engine.quantization import refuse_unable
from training.engine.resume import find_checkpoint
from training.engine.supervised import fit, load_examples, sft_trainer


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/, an ordinary adapter that fits the base in any precision; returns the final metrics."""
    device = find_device()
    refuse_unable("method", device)
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    model = with_adapter(attempt, load_base(attempt, device, "qlora"))
    resumed = find_checkpoint(attempt)
    trainer = sft_trainer(attempt, device, model, tokenizer, examples, resumed)
    in_full_precision(model)
    return fit(attempt, trainer, tokenizer, resumed)
