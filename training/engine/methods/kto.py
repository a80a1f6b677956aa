"""KTO: learn from answers that were rated good or bad one by one (Ethayarajh et al. 2024). A preference pair is one of each."""

from __future__ import annotations

from typing import Any

from training.engine import fastpath
from training.engine.attempt import Attempt
from training.engine.checkpoints import Checkpoint
from training.engine.evaluation import RatingMeans
from training.engine.model import Device, load_tokenizer
from training.engine.preference import arguments, find_exact_device, learner, load_examples, load_policy, settle
from training.engine.reference import add_reference
from training.engine.resume import find_checkpoint
from training.engine.supervised import Examples, fit


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_exact_device(attempt)
    tokenizer = load_tokenizer(attempt)
    examples = shuffled(load_examples(attempt, tokenizer, rated=True), attempt.config.seed)
    base = load_policy(attempt, device)
    flat = fastpath.choose(attempt, device, base, pairs=True)
    resumed = find_checkpoint(attempt)
    trainer = kto_trainer(attempt, device, base, tokenizer, examples, resumed)
    settle(attempt, device, trainer, examples, resumed, RatingMeans(), flat=flat)
    add_reference(attempt, trainer, flat=flat)
    return fit(attempt, trainer, tokenizer, resumed)


def shuffled(examples: Examples, seed: int) -> Examples:
    """The rows in the order in which every pass takes them: a batch's answers are each other's comparison, so its rows stay
    together, and a pair's two answers must not meet in one."""
    held_out = examples.evaluation
    return Examples(examples.train.shuffle(seed=seed), None if held_out is None else held_out.shuffle(seed=seed))


def kto_trainer(attempt: Attempt, device: Device, base: Any, tokenizer: Any, examples: Examples, resumed: Checkpoint | None) -> Any:
    """TRL's KTO trainer with our mixins, fed with finished tokens."""
    from trl import KTOConfig, KTOTrainer
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    from training.engine.reference import Referenced
    from training.engine.trainer import Durable

    class Trainer(Referenced, Durable, KTOTrainer):
        pass

    config = attempt.config

    class Collator(DataCollatorForUnpairedPreference):
        """Gives each prompt the answer before its own too: what is thought of unrelated answers measures the distance from
        the reference."""

        def torch_call(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
            if config.loss_type == "kto":
                rows = [row | {"KL_completion_ids": rows[index - 1]["completion_ids"]} for index, row in enumerate(rows)]
            return super().torch_call(rows)

    settings = KTOConfig(
        **arguments(attempt, device, examples, resumed),
        loss_type=config.loss_type,
        desirable_weight=config.desirable_weight,
        undesirable_weight=config.undesirable_weight,
        max_length=None,
        precompute_ref_log_probs=config.adapter == "none",  # else TRL would load the base a second time
    )
    return Trainer(
        **learner(attempt, base),
        args=settings,
        data_collator=Collator(pad_token_id=tokenizer.pad_token_id),
        train_dataset=examples.train,
        eval_dataset=examples.evaluation,
        processing_class=tokenizer,
    )
