"""The ways to train. Each module's `train(attempt)` reads from top to bottom and returns what the run leaves behind."""

from __future__ import annotations

import importlib
from typing import Any

from training.engine.attempt import Attempt

METHODS = {"sft": "sft", "lora": "lora", "qlora": "qlora"}


def train(attempt: Attempt) -> Any:
    """Run the spec's method; its module is imported only now, with the libraries it needs."""
    module = importlib.import_module(f".{METHODS[attempt.spec.method]}", __package__)
    return module.train(attempt)
