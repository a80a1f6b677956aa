"""The templates everybody has: four for each method, from a quick try to the best quality. Data only.

They are written as changes to a method's defaults and made for whichever methods and options the engine knows, so a new
method has its four at once; a test checks each of them against the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune.core.templatetags.ui import method_words
from training.engine.spec import METHODS, defaults_for


@dataclass(frozen=True)
class BuiltIn:
    """A template nobody owns and nobody can change."""

    id: str
    name: str
    description: str
    method: str
    config: dict[str, Any]
    built_in: bool = True


# Kind → its name, what it is for, and what it changes. An option that the spec does not have (yet) is left out.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "quick": (
        "Quick try",
        "One pass with a small adapter: see in minutes whether data and model go together.",
        {"num_train_epochs": 1.0, "lora_r": 8, "lora_alpha": 16, "eval_fraction": 0.05},
    ),
    "balanced": (
        "Balanced",
        "What suits most datasets: a few passes, an effective batch of 16.",
        {"num_train_epochs": 3.0, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    ),
    "quality": (
        "Best quality",
        "A larger adapter, smaller steps and a longer ramp; stops by itself once the evaluation gets worse. Takes longest.",
        {
            "num_train_epochs": 5.0, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 8, "lora_r": 64, "lora_alpha": 128,
            "lora_dropout": 0.05, "warmup_ratio": 0.1, "weight_decay": 0.01, "save_total_limit": 3, "early_stopping_patience": 3, "keep_best": True,
        },
    ),
    "memory": (
        "Low memory",
        "One row at a time, activations computed anew, a small adapter: slower, but fits where nothing else does.",
        {
            "per_device_train_batch_size": 1, "gradient_accumulation_steps": 16, "gradient_checkpointing": True, "max_length": 512,
            "lora_r": 8, "lora_alpha": 16,
        },
    ),
}  # fmt: skip
# A method's learning rate is its own affair; these are the factors by which a kind moves it.
RATE_FACTORS = {"quality": 0.5}
# What a method needs beside that. Full training pays for the optimizer's state; Adafactor keeps a fraction of it.
# Preferences are learned in one pass or two, and KTO compares the rows of a batch, so it needs more than one.
FOR_METHOD: dict[tuple[str, str], dict[str, Any]] = {
    ("sft", "memory"): {"optim": "adafactor"},
    **{(method, "balanced"): {"num_train_epochs": 1.0} for method in ("dpo", "kto")},
    **{(method, "quality"): {"num_train_epochs": 2.0} for method in ("dpo", "kto")},
    ("kto", "memory"): {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8},
}


def built_in_templates() -> list[BuiltIn]:
    """All of them, by method, then from quick to careful."""
    return [_made(method, kind) for method in METHODS for kind in KINDS]


def _made(method: str, kind: str) -> BuiltIn:
    name, description, changes = KINDS[kind]
    defaults = defaults_for(method)
    values = changes | FOR_METHOD.get((method, kind), {})
    config = {key: value for key, value in values.items() if key in defaults}
    if kind in RATE_FACTORS:
        config["learning_rate"] = defaults["learning_rate"] * RATE_FACTORS[kind]
    return BuiltIn(f"{method}-{kind}", f"{method_words(method)}: {name.lower()}", description, method, config)
