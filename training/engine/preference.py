"""The parts that the preference methods (dpo, orpo, kto) share: tokenised answers, the model, the trainers' arguments."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import fastpath
from .adapter import adapter_settings, in_full_precision, keep_beginning, load_base
from .arguments import trainer_arguments
from .attempt import Attempt
from .checkpoints import Checkpoint
from .data import Prepared
from .evaluation import Means
from .failures import bad_data
from .model import Device, find_device
from .preference_data import prepare_preferences
from .quantization import refuse_unable
from .splits import prepare_splits
from .supervised import Examples, started


def load_examples(attempt: Attempt, tokenizer: Any, *, rated: bool = False) -> Examples:
    """Tokenise the spec's rows, in pairs or `rated` one by one, hold some out, and say in the log what was cut or dropped."""
    train, evaluation = prepare_splits(attempt, tokenizer, prepare_preferences, rated=rated)
    _report(attempt, train, evaluation)
    return Examples(train.load(), evaluation.load() if evaluation and evaluation.rows else None)


def _report(attempt: Attempt, train: Prepared, evaluation: Prepared | None) -> None:
    rows = train.rows + len(train.dropped)
    if not train.rows:
        raise bad_data(
            "No row has anything to learn: the answers are empty, equal, or longer than max_length.", "Raise max_length."
        )
    attempt.log(
        f"{train.rows} rows to learn from, {evaluation.rows if evaluation else 0} held out; "
        f"{train.tokens} tokens, {train.trained_tokens} of them in answers. The first row teaches: {train.example}"
    )
    if train.cut:
        attempt.log(f"{train.cut} of {rows} rows are longer than max_length: the beginning of their prompt was cut.", "warning")
    if train.dropped:
        lines = ", ".join(str(line) for line in train.dropped[:10])
        words = "answers that are empty, equal, or leave no room for the prompt"
        attempt.log(f"{len(train.dropped)} of {rows} rows have {words}, and are skipped (lines {lines}).", "warning")


def find_exact_device(attempt: Attempt) -> Device:
    """The best device; on a CPU it computes in float32 unless bf16 is asked for. The loss is a small difference of long sums
    of log-probabilities, in which bfloat16's rounding is 0.2 % of the loss, and without padding there is little to gain by it."""
    device = find_device()
    if device.kind == "cpu" and attempt.config.bf16 is None:
        return dataclasses.replace(device, bf16=False)
    return device


def load_policy(attempt: Attempt, device: Device) -> Any:
    """The base, without dropout of its own: the policy must start as what it is compared with. The adapter keeps its dropout."""
    if attempt.config.adapter == "qlora":
        refuse_unable("adapter", device)
    base = load_base(attempt, device, attempt.config.adapter)
    _without_dropout(base)
    return base


def _without_dropout(base: Any) -> None:
    import torch

    for module in base.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout_p", "attn_pdrop"):  # of attentions that drop inside their kernel
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def learner(attempt: Attempt, base: Any) -> dict[str, Any]:
    """Keyword arguments of TRL's trainers for the model and its adapter, which is drawn from the run's seed. They wrap it
    themselves: given a finished one they would keep a second adapter as the reference, where switching the first one off, or
    asking it before its first step (reference.py), is enough."""
    from transformers import set_seed

    settings = None if attempt.config.adapter == "none" else adapter_settings(attempt, base)
    set_seed(attempt.config.seed)
    return {"model": base, "peft_config": settings}


def arguments(attempt: Attempt, device: Device, examples: Examples, resumed: Checkpoint | None) -> dict[str, Any]:
    """Keyword arguments of TRL's configurations for preferences. The rows are cut to length already."""
    general = trainer_arguments(
        attempt, device, examples=len(examples.train), evaluates=examples.evaluation is not None, resuming=resumed is not None
    )
    return general | {"beta": attempt.config.beta, "disable_dropout": False}


def settle(
    attempt: Attempt, device: Device, trainer: Any, examples: Examples, resumed: Checkpoint | None, means: Means, *, flat: bool
) -> Any:
    """Make TRL's trainer ours: quick log-probabilities, a float32 adapter, events and checkpoints. Returns it."""
    fastpath.finish_pairs(attempt, device, trainer.model, flat)
    in_full_precision(trainer.model)
    if attempt.config.adapter != "none":
        keep_beginning(attempt, trainer.model)
    trainer.attach(attempt, device.kind, resumed, means, lambda steps: started(attempt, device, trainer, examples, resumed, steps))
    return trainer
