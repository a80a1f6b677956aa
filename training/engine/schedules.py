"""How the learning rate moves: from our options to transformers' scheduler and its keyword arguments."""

from __future__ import annotations

import math
from typing import Any

from .options import Config

FLOOR = 0.1  # of the learning rate, where a schedule has a floor and none was chosen


def scheduler_arguments(config: Config, steps: int) -> dict[str, Any]:
    """lr_scheduler_type, lr_scheduler_kwargs and warmup_steps for a run of so many optimizer steps."""
    warmup = config.warmup_steps if config.warmup_steps is not None else math.ceil(config.warmup_ratio * steps)
    return {
        "lr_scheduler_type": config.lr_scheduler_type,
        "lr_scheduler_kwargs": _own(config, steps, warmup),
        "warmup_steps": warmup,
    }


def _own(config: Config, steps: int, warmup: int) -> dict[str, Any]:
    floor, rate = config.min_lr_ratio, config.learning_rate
    lowest = rate * (floor or 0.0)
    measuring = {"factor": config.lr_plateau_factor, "patience": config.lr_plateau_patience, "min_lr": lowest}
    options: dict[str, dict[str, Any]] = {
        "cosine_with_restarts": {"num_cycles": config.lr_num_cycles},
        "polynomial": {"power": config.lr_power, "lr_end": lowest},
        "cosine_with_min_lr": {"min_lr_rate": FLOOR if floor is None else floor},
        "cosine_warmup_with_min_lr": {"min_lr_rate": FLOOR if floor is None else floor},
        "warmup_stable_decay": {
            "num_decay_steps": max(1, min(math.ceil(config.lr_decay_ratio * steps), steps - warmup)),
            "min_lr_ratio": floor or 0.0,
        },
        "reduce_lr_on_plateau": measuring,
        # Its own bounds, 0.001 and 1, are far above the rates of fine-tuning.
        "greedy": measuring | {"max_lr": 10 * rate},
    }
    return options.get(config.lr_scheduler_type, {})
