"""The two moments transformers offers only to callbacks. Imported once a run has begun: it needs transformers."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class Follow(TrainerCallback):
    """Hands the beginning of training and the end of every step to the trainer (see trainer.Durable)."""

    def __init__(self, trainer: Any):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.after_step()
