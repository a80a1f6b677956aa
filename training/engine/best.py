"""The best evaluation so far: which checkpoint keep_best ends with, and when a run that no longer improves stops early.

It counts the evaluations after the first step; how the untouched base does is no candidate. Kept in progress.json, so a
resumed run counts on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import checkpoints
from .attempt import Attempt


class NothingLeft(Exception):
    """The checkpoint a run resumes from is its last step, or where it had stopped early: there is nothing left to train."""


@dataclass
class Best:
    """`step` and `values` of the lowest eval_loss; `waited`: evaluations in a row that were not better by the threshold."""

    step: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    waited: int = 0
    stopped: bool = False

    def see(self, step: int, values: dict[str, float], threshold: float) -> bool:
        """Take note of an evaluation; True when it is the best so far. A loss that is not a number is never better."""
        loss, before = values["eval_loss"], self.values.get("eval_loss", float("inf"))
        self.waited = 0 if loss < before - threshold else self.waited + 1
        if not loss < before:
            return False
        self.step, self.values = step, dict(values)
        return True

    def state(self) -> dict[str, Any]:
        return asdict(self)


def best_checkpoint(attempt: Attempt, best: Best, last_step: int) -> Path | None:
    """The checkpoint the result is taken from; None when that is the model as it stands at `last_step`. Says which it is."""
    if not attempt.config.keep_best or best.step is None:
        return None
    words = f"step {best.step}, the lowest eval_loss ({best.values['eval_loss']:.4f})"
    if best.step == last_step:
        attempt.log(f"The result is the last step's: {words}.")
        return None
    path = attempt.dir.checkpoints / f"{checkpoints.PREFIX}{best.step}"
    if checkpoints.open_checkpoint(path) is None:
        attempt.log(f"The checkpoint of {words}, is gone or damaged: the result is the last step's instead.", "warning")
        return None
    attempt.log(f"The result is the checkpoint of {words}.")
    return path
