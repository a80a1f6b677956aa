"""DPO: prefer one answer to another, measured against what the model thought of both at the start (Rafailov et al. 2023)."""

from __future__ import annotations

from typing import Any

from training.engine import fastpath
from training.engine.attempt import Attempt
from training.engine.checkpoints import Checkpoint
from training.engine.evaluation import PairMeans
from training.engine.model import Device, load_tokenizer
from training.engine.preference import arguments, find_exact_device, learner, load_examples, load_policy, settle
from training.engine.reference import add_reference
from training.engine.resume import find_checkpoint
from training.engine.supervised import Examples, fit


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_exact_device(attempt)
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    base = load_policy(attempt, device)
    flat = fastpath.choose(attempt, device, base, pairs=True)
    resumed = find_checkpoint(attempt)
    trainer = dpo_trainer(attempt, device, base, tokenizer, examples, resumed)
    settle(attempt, device, trainer, examples, resumed, PairMeans(), flat=flat)
    add_reference(attempt, trainer, flat=flat)
    return fit(attempt, trainer, tokenizer, resumed)


def dpo_trainer(attempt: Attempt, device: Device, base: Any, tokenizer: Any, examples: Examples, resumed: Checkpoint | None) -> Any:
    """TRL's DPO trainer with our mixins, fed with finished tokens."""
    from trl import DPOConfig, DPOTrainer

    from training.engine.reference import Referenced
    from training.engine.trainer import Durable

    class Trainer(Referenced, Durable, DPOTrainer):
        pass

    config = attempt.config
    settings = DPOConfig(
        **arguments(attempt, device, examples, resumed),
        loss_type=[config.loss_type],
        label_smoothing=config.label_smoothing,
        max_length=None,
        precompute_ref_log_probs=config.adapter == "none",  # else TRL would load the base a second time
    )
    return Trainer(
        **learner(attempt, base),
        args=settings,
        train_dataset=examples.train,
        eval_dataset=examples.evaluation,
        processing_class=tokenizer,
    )
