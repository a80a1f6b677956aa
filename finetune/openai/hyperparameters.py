"""OpenAI's methods and hyper-parameters as ours, and back."""

from __future__ import annotations

from math import gcd
from typing import Any

from finetune.core.errors import invalid_field
from training.engine.options import METHODS
from training.engine.spec import defaults_for

# What OpenAI calls a method; every one of ours may be named as well.
THEIRS = {"supervised": "lora", "dpo": "dpo"}
BACK = {"lora": "supervised", "qlora": "supervised", "sft": "supervised", "pretrain": "supervised"}
Number = int | float


def our_method(kind: str) -> str:
    """lora for supervised, dpo for dpo, and ours for themselves. Invalid for reinforcement and the rest."""
    method = THEIRS.get(kind, kind)
    if method not in METHODS:
        names = ", ".join([*THEIRS, *(name for name in METHODS if name not in THEIRS)])
        raise invalid_field("method", f"There is no method “{kind[:40]}” here. Choose one of: {names}.", code="unknown_method")
    return method


def our_config(method: str, given: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """The job's config. `auto` leaves our default; names that are not OpenAI's are ours (lora_r, max_length, …), which the verb checks.

    `batch_size` counts the examples of one update: our micro-batch stays, if it divides it, and is accumulated.
    `learning_rate_multiplier` scales the method's default.
    """
    chosen = {name: value for name, value in given.items() if value not in (None, "auto")}
    defaults, config = defaults_for(method), {} if seed is None else {"seed": seed}
    for name, value in chosen.items():
        if name == "n_epochs":
            config["num_train_epochs"] = value
        elif name == "batch_size":
            size = _number(name, value, whole=True)
            micro = gcd(size, defaults["per_device_train_batch_size"])
            config |= {"per_device_train_batch_size": micro, "gradient_accumulation_steps": size // micro}
        elif name == "learning_rate_multiplier":
            config["learning_rate"] = defaults["learning_rate"] * _number(name, value)
        else:
            config[name] = value
    return config


def _number(name: str, value: Any, whole: bool = False) -> Any:
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value <= 100_000:
        raise invalid_field(name, f"Must be a {'whole ' if whole else ''}number above 0, or “auto”.")
    return value


def their_method(method: str, config: dict[str, Any]) -> dict[str, Any]:
    """{type, <type>: {hyperparameters}} of a job; ours keep their own name as the type where OpenAI has none."""
    kind = BACK.get(method, method)
    return {"type": kind, kind: {"hyperparameters": their_hyperparameters(method, config)}}


def their_hyperparameters(method: str, config: dict[str, Any]) -> dict[str, Any]:
    """The numbers a job trains with, under OpenAI's names."""
    told: dict[str, Any] = {
        "n_epochs": _short(config.get("num_train_epochs")),
        "batch_size": config.get("per_device_train_batch_size", 1) * config.get("gradient_accumulation_steps", 1),
        "learning_rate_multiplier": _short(config.get("learning_rate", 0) / defaults_for(method)["learning_rate"]),
    }
    return told | ({"beta": config["beta"]} if method == "dpo" and "beta" in config else {})


def _short(value: Number | None) -> Number | None:
    """3 for 3.0; without the last digits of a division."""
    rounded = None if value is None else round(value, 6)
    return int(rounded) if rounded is not None and rounded == int(rounded) else rounded
