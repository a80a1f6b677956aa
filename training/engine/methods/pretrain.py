"""Continued pre-training: the model reads plain text and learns every token of it, in an adapter or in all its weights.

Texts longer than max_length are divided, not cut (data.py), each ends with the end-of-text token, and short ones share a
sequence without seeing each other (packing).
"""

from __future__ import annotations

from training.engine.adapter import in_full_precision, load_base, with_adapter
from training.engine.attempt import Attempt
from training.engine.model import find_device, load_tokenizer
from training.engine.quantization import refuse_unable
from training.engine.resume import find_checkpoint
from training.engine.supervised import fit, load_examples, sft_trainer


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device, adapter = find_device(), attempt.config.adapter
    if adapter == "qlora":
        refuse_unable("adapter", device)
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    model = load_base(attempt, device, adapter)
    if adapter != "none":
        model = with_adapter(attempt, model)
    resumed = find_checkpoint(attempt)
    trainer = sft_trainer(attempt, device, model, tokenizer, examples, resumed)
    if adapter == "qlora":
        in_full_precision(model)
    return fit(attempt, trainer, tokenizer, resumed)
