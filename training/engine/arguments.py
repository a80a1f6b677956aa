"""From our Config to the arguments of transformers' and TRL's trainers."""

from __future__ import annotations

import math
from typing import Any

from . import distributed
from .attempt import Attempt
from .failures import bad_spec
from .model import Device, uses_bf16, uses_checkpointing
from .optimizers import optimizer_arguments
from .refusals import evaluation_refusals
from .schedules import scheduler_arguments


def total_steps(attempt: Attempt, examples: int) -> int:
    """Optimizer steps of the whole run, counted as transformers counts them."""
    config = attempt.config
    if config.max_steps:
        return config.max_steps
    batches = math.ceil(math.ceil(examples / config.per_device_train_batch_size) / config.num_gpus)
    return math.ceil(config.num_train_epochs * max(1, math.ceil(batches / config.gradient_accumulation_steps)))


def trainer_arguments(attempt: Attempt, device: Device, *, examples: int, evaluates: bool, resuming: bool) -> dict[str, Any]:
    """Keyword arguments that every trainer takes. `examples` is the number of training sequences."""
    config, steps = attempt.config, total_steps(attempt, examples)
    for field, words in evaluation_refusals(config, evaluates=evaluates).items():
        raise bad_spec(field, words)
    bf16 = uses_bf16(config, device)
    return {
        "output_dir": str(attempt.dir.checkpoints),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.num_train_epochs,
        "max_steps": config.max_steps or -1,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "per_device_eval_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        **scheduler_arguments(config, steps),
        **optimizer_arguments(config),
        "max_grad_norm": config.max_grad_norm,
        "seed": config.seed,
        "bf16": bf16,
        "fp16": config.fp16 and not bf16,
        "torch_compile": config.torch_compile,
        "activation_checkpointing": uses_checkpointing(config, device),
        "logging_steps": config.logging_steps,
        # A NaN must reach our guard instead of being replaced by the average of the losses before it.
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluates else "no",
        "metric_for_best_model": "eval_loss",  # what reduce_lr_on_plateau and greedy follow
        "greater_is_better": False,
        "eval_steps": config.eval_steps or max(1, math.ceil(steps / 10)),
        # The loss before the first step is what the end is compared with.
        "eval_on_start": evaluates and not resuming,
        "save_strategy": "steps",
        "save_steps": config.save_steps or max(1, math.ceil(steps / 5)),
        "save_total_limit": None,  # checkpoints.keep_newest does it, after the new one is safely on disk
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": device.kind == "cuda",
        "use_cpu": device.kind == "cpu",
    } | distributed.trainer_arguments(config, device=device.kind)
