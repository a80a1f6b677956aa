"""What our runs add to the evaluations of TRL's trainers: exact means, nothing of the training touched, and what follows from them."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator
from typing import Any

from .attempt import Attempt
from .best import Best
from .checkpoints import Checkpoint
from .evaluation import Means
from .failures import nan_loss
from .options import MEASURING_SCHEDULERS
from .samples import Samples
from .stopping import Cancelled
from .world import World


class EvaluationStopped(Exception):
    """A stop was asked for in the middle of an evaluation."""


class Evaluating:
    """The evaluating half of trainer.Durable, which sets all of this."""

    attempt: Attempt
    resumed: Checkpoint | None
    means: Means
    best: Best
    samples: Samples
    owes_evaluation: bool
    last_evaluation: dict[str, float]
    last_evaluated_step: int | None
    last_checkpoint: int | None
    stop_here: Any
    _stop_requested: Any
    _metric: Any
    # The trainer's own.
    args: Any
    control: Any
    state: Any
    model: Any
    accelerator: Any
    eval_dataset: Any
    data_collator: Any
    label_smoother: Any
    lr_scheduler: Any
    _metrics: Any
    _remove_unused_columns: Any
    # Batches of this evaluation that are still to be counted; None when all are.
    _real_batches: int | None = None

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate without touching the training: neither its random numbers nor its clock."""
        self.means.start()
        started = time.monotonic()
        with self.attempt.during("evaluating"), frozen_random(), self._without_smoothing(), self._apart():
            try:
                metrics = super().evaluate(*args, **kwargs)  # type: ignore[misc]
            except EvaluationStopped:
                return self._abandon_evaluation()
        values = {f"eval_{name}": value for name, value in self.means.values(self.attempt.world).items()}
        if not math.isfinite(values.get("eval_loss", 0.0)):
            raise nan_loss(self.state.global_step, "evaluation's loss", self.last_checkpoint)
        values["eval_seconds"] = time.monotonic() - started
        self.last_evaluation, self.last_evaluated_step = values, self.state.global_step
        self._metric("eval", values, self.attempt.clock.seconds)
        self.say_samples()
        return {**metrics, **values}

    def say_samples(self) -> None:
        """The answers to sample_prompts as the model stands, once a step."""
        with self.attempt.during("evaluating"), frozen_random():
            self.samples.say(self.model, self.accelerator, self.state.global_step)

    @contextlib.contextmanager
    def _without_smoothing(self) -> Iterator[None]:
        """eval_loss and perplexity are those of the true targets, whatever the training's are."""
        smoother, self.label_smoother = self.label_smoother, None
        try:
            yield
        finally:
            self.label_smoother = smoother

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        """transformers' call during training; what follows from the result is done here, since an evaluation may have been left."""
        metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler=True)  # type: ignore[misc]
        if metrics and not skip_scheduler:
            self._follow_evaluation(self.last_evaluation)
        return metrics

    def _follow_evaluation(self, values: dict[str, float]) -> None:
        """What goes by eval_loss: the schedule, the best checkpoint, an early end."""
        config, step = self.attempt.config, self.state.global_step
        if config.lr_scheduler_type in MEASURING_SCHEDULERS:
            self.lr_scheduler.step(values["eval_loss"])
        if self.best.see(step, values, config.early_stopping_threshold) and config.keep_best:
            self.control.should_save = self.last_checkpoint != step
        if config.early_stopping_patience and self.best.waited >= config.early_stopping_patience and step < self.state.max_steps:
            self.best.stopped = self.control.should_training_stop = self.control.should_save = True
            self.attempt.log(
                f"Stopped early after step {step}: {self.best.waited} evaluations without a better eval_loss than "
                f"{self.best.values.get('eval_loss', math.nan):.4f} at step {self.best.step}."
            )

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        """transformers' own bookkeeping of the best, which ours replaces."""
        return False

    def _abandon_evaluation(self) -> dict[str, float]:
        self._metrics["eval"].clear()
        fresh = self.state.global_step == (self.resumed.step if self.resumed else 0)
        if fresh:  # nothing was trained in this attempt, so there is nothing new to keep
            raise Cancelled(self.state.global_step)
        self.owes_evaluation = True
        self.stop_here()
        return {}

    # --- Several ranks --------------------------------------------------------------------------

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """The same batches as on one device, dealt out to the ranks. accelerate would fill the last round up with rows from the
        beginning, and the evaluation would count them twice."""
        if self.attempt.world.size == 1:
            return super().get_eval_dataloader(eval_dataset)  # type: ignore[misc]
        from torch.utils.data import DataLoader

        rows = self._remove_unused_columns(self.eval_dataset, description="evaluation")
        batches, self._real_batches = dealt(len(rows), self.args.per_device_eval_batch_size, self.attempt.world)
        return DataLoader(rows, batch_sampler=batches, collate_fn=self.data_collator)

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """Each rank's batches speak for that rank alone: TRL would average over ranks whose batches differ in size; `means` adds
        them up with their weights."""
        if self.attempt.world.size == 1:
            yield
            return
        known = self.accelerator.gather, self.accelerator.gather_for_metrics
        self.accelerator.gather = self.accelerator.gather_for_metrics = lambda values, **_: values
        try:
            yield
        finally:
            self.accelerator.gather, self.accelerator.gather_for_metrics = known

    def prediction_step(self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Add the batch's own means up: the mean over batches would depend on which rows share one."""
        if self._stop_requested():
            raise EvaluationStopped
        result = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)  # type: ignore[misc]
        latest = {key.removeprefix("eval_"): values[-1] for key, values in self._metrics["eval"].items() if values}
        self.means.add(inputs, float(result[0]), latest, counts=self._real_batches is None or self._real_batches > 0)
        if self._real_batches:
            self._real_batches -= 1
        return result


def dealt(rows: int, size: int, world: World) -> tuple[list[list[int]], int]:
    """(This rank's batches of row numbers, how many of them count). Every rank gets as many: it computes the first row once more
    where it has none left, since the ranks ask each other after every batch whether to stop."""
    batches = [list(range(first, min(first + size, rows))) for first in range(0, rows, size)]
    own = batches[world.rank :: world.size]
    missing = -(-len(batches) // world.size) - len(own)
    return own + missing * [[0]], len(own)


@contextlib.contextmanager
def frozen_random() -> Iterator[None]:
    """Put every random generator back afterwards: whether a run evaluates must not change what it learns."""
    import numpy as np
    import torch

    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.random.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
