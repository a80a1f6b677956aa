"""The ways to train. Each module's `train(attempt)` reads from top to bottom and returns what the run leaves behind."""

from __future__ import annotations

import importlib
from typing import Any

from training.engine.attempt import Attempt
from training.engine.failures import bad_spec
from training.engine.model import find_device
from training.engine.products import prefer_quick
from training.engine.refusals import device_refusals, model_refusals

METHODS = {"sft": "sft", "lora": "lora", "qlora": "qlora", "dpo": "dpo", "orpo": "orpo", "kto": "kto", "pretrain": "pretrain"}


def train(attempt: Attempt) -> Any:
    """Run the spec's method; its module is imported only now, with the libraries it needs."""
    refuse_unable(attempt)
    prefer_quick()
    module = importlib.import_module(f".{METHODS[attempt.spec.method]}", __package__)
    return module.train(attempt)


def refuse_unable(attempt: Attempt) -> None:
    """bad_spec when this device or model can't do what is asked for, before anything is loaded or written."""
    config, spec = attempt.config, attempt.spec
    found = device_refusals(spec.method, config, find_device())
    if (attempt.model_path / "config.json").is_file():
        found |= model_refusals(spec.method, config, attempt.model_path, spec.data.kind)
    for field, words in found.items():
        raise bad_spec(field, words)
