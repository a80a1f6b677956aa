"""What our runs add to TRL's trainers, as one mixin: events, exact resume, atomic checkpoints, stopping, NaN guard.

`class Trainer(Durable, SFTTrainer)` is a complete trainer; the mixin overrides only transformers' own extension points.
It imports torch inside its methods, so that naming it costs nothing.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from . import checkpoints
from .attempt import Attempt
from .best import Best, NothingLeft
from .checkpoints import Checkpoint
from .evaluating import Evaluating
from .evaluation import Means
from .failures import bad_spec, nan_loss
from .fastpath import unwrapped
from .measure import peak_memory
from .order import LengthOrder, row_lengths
from .refusals import evaluation_refusals
from .rundir import write_atomic
from .samples import Samples

MEMORY_EVERY = 5.0  # seconds between two memory events: a chart needs no more


class Durable(Evaluating):
    """Mixin for a transformers trainer. Call `attach` before `train`."""

    # The trainer's own, which the mixin reads and restores, beside those of its evaluating half.
    add_callback: Any
    _tr_loss: Any
    model_wrapped: Any
    is_fsdp_enabled: bool
    is_deepspeed_enabled: bool
    train_dataset: Any
    processing_class: Any
    _staging: Path | None = None

    def attach(self, attempt: Attempt, device: str, resumed: Checkpoint | None, means: Means, on_begin: Any) -> None:
        """Bind the trainer to its attempt. `on_begin(total_steps)` is called once the schedule is known; `means` adds up evaluations."""
        for field, words in evaluation_refusals(attempt.config, evaluates=self.eval_dataset is not None).items():
            raise bad_spec(field, words)
        from .callbacks import Follow
        from .neftune import Noise

        self.attempt, self.device_kind, self.resumed, self.on_begin = attempt, device, resumed, on_begin
        self.cancelled = False
        self.owes_evaluation = False
        self.last_evaluation: dict[str, float] = {}
        self.last_evaluated_step: int | None = None
        self.last_values: dict[str, float] = {}
        self.last_checkpoint = resumed.step if resumed else None
        self.best = Best()
        self.noise = Noise(unwrapped(self.model), alpha) if (alpha := attempt.config.neftune_noise_alpha) else None
        self.samples = Samples(attempt, self.processing_class)
        self._rows = 0
        self._since = (0.0, 0, 0)  # clock, tokens and rows at the last point of the curve
        self._memory_said = 0.0
        self.means = means
        if hasattr(self.model, "create_or_update_model_card"):  # PEFT would fill in a form at every checkpoint
            self.model.create_or_update_model_card = self.create_model_card
        self.add_callback(Follow(self))

    # --- Following ------------------------------------------------------------------------------

    def begin(self) -> None:
        """The schedule is known and the checkpoint's weights are loaded; put back what transformers doesn't."""
        self.attempt.stop.gently()
        clock = 0.0
        if self.resumed:
            progress = self.resumed.progress(self.attempt.world.rank)
            clock = progress["seconds"]
            self._restore(progress)
        self.on_begin(self.state.max_steps)
        self.attempt.phase("training")
        self.attempt.clock.start(clock)
        self._since = (clock, self._total_train_tokens, self._rows)
        if self.owes_evaluation and self.eval_dataset is not None:
            self.owes_evaluation = False
            self._evaluate(None, None)
        # Killed before it had written its result; transformers would train one step more than it should.
        if self.best.stopped or self.state.global_step >= self.state.max_steps:
            raise NothingLeft

    def after_step(self) -> None:
        """Between two steps: honour a stop request, now and then tell the memory."""
        self.state.log_history = []  # the events are the history; here it would grow with every step and checkpoint
        if time.monotonic() - self._memory_said >= MEMORY_EVERY:
            self.tell_memory()
        if self._stop_requested():
            self.stop_here()

    def _stop_requested(self) -> bool:
        """Whether any rank was asked to stop: they end at the same step."""
        return self.attempt.world.any(self.attempt.stop.requested())

    def stop_here(self) -> None:
        """End after this step with a checkpoint; an evaluation that is due now is left to whoever resumes."""
        self.cancelled = True
        self.owes_evaluation = self.owes_evaluation or self.control.should_evaluate
        self.control.should_evaluate = False
        self.control.should_save = self.control.should_training_stop = True

    def tell_memory(self) -> None:
        self._memory_said = time.monotonic()
        self.attempt.events.emit("memory", peak_bytes=peak_memory(self.device_kind), device=self.device_kind)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)  # type: ignore[misc]  # adds TRL's own averages to logs
        if "loss" in logs:
            self._guard(logs)
            self._tell_metrics(logs)

    def _tell_metrics(self, logs: dict[str, float]) -> None:
        clock, tokens, rows = self.attempt.clock.seconds, self._total_train_tokens, int(self.attempt.world.total([self._rows])[0])
        seconds = max(clock - self._since[0], 1e-9)
        values = {key: value for key, value in logs.items() if key != "epoch"}
        values |= {
            "num_tokens": tokens,
            "tokens_per_second": (tokens - self._since[1]) / seconds,
            "samples_per_second": (rows - self._since[2]) / seconds,
        }
        self._since, self.last_values = (clock, tokens, rows), values
        self._metric("train", values, clock)

    def _metric(self, split: str, values: dict[str, float], clock: float) -> None:
        self.attempt.events.emit(
            "metric", step=self.state.global_step, epoch=self.state.epoch or 0.0, split=split, values=values, elapsed_seconds=clock
        )

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        self._rows += _rows(inputs)
        if self.noise:
            self.noise.see(inputs)
        return super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]

    # --- Guards ---------------------------------------------------------------------------------

    def _guard(self, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise nan_loss(self.state.global_step, "loss", self.last_checkpoint)
        # With fp16 an infinite gradient is ordinary: its loss scaling skips that step.
        if not self.args.fp16 and not math.isfinite(logs.get("grad_norm", 0.0)):
            raise nan_loss(self.state.global_step, "gradients", self.last_checkpoint)

    def _guard_weights(self) -> None:
        """Never keep a broken model: between two points of the curve the numbers may have gone."""
        import torch

        trained = (local(parameter) for parameter in self.model.parameters() if parameter.requires_grad)
        if self.attempt.world.any(not all(bool(torch.isfinite(parameter).all()) for parameter in trained)):
            raise nan_loss(self.state.global_step, "weights", self.last_checkpoint)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        config = self.attempt.config
        if not config.group_by_length:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        # Grouped by step and sorted inside, so that smaller micro-batches (after memory ran out) leave each step its rows.
        rows = config.per_device_train_batch_size * config.gradient_accumulation_steps * self.attempt.world.size
        return LengthOrder(row_lengths(self.train_dataset), rows, config.seed)

    # --- Keeping --------------------------------------------------------------------------------

    def _get_output_dir(self, trial: Any = None) -> str:
        return str(self._staging or super()._get_output_dir(trial))  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write transformers' files beside, seal them, then let them appear as one."""
        self._guard_weights()
        step, root, world = self.state.global_step, self.attempt.dir.checkpoints, self.attempt.world
        with self.attempt.during("saving"):
            self._staging = staging = world.share(checkpoints.stage(root, step) if world.is_main else None)
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            written = staging / f"{checkpoints.PREFIX}{step}"
            write_atomic(written / checkpoints.progress_name(world.rank), json.dumps(self._progress()))
            self._staging = None
            world.wait()
            self.last_checkpoint = step
            if world.is_main:
                self._commit(staging, written, step)

    def _commit(self, staging: Path, written: Path, step: int) -> None:
        """All ranks have written: the checkpoint appears, and the oldest goes."""
        root = self.attempt.dir.checkpoints
        kept = checkpoints.commit(written, root, step)
        staging.rmdir()
        checkpoints.keep_newest(root, self.attempt.config.save_total_limit, self._spared())
        path = kept.path.relative_to(self.attempt.dir.path).as_posix()
        values = self.last_values | (self.last_evaluation if self.last_evaluated_step == step else {})
        self.attempt.events.emit("checkpoint", step=step, path=path, bytes=kept.bytes, values=values)

    def whole_weights(self) -> dict[str, Any] | None:
        """The model's weights from all ranks, when they are split over them; all ranks must ask. None when each has all."""
        if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            return None
        weights = self.accelerator.get_state_dict(self.model_wrapped)
        tied = getattr(self.model, "all_tied_weights_keys", {})  # gathered, a weight with two names is there twice
        return {name: tensor for name, tensor in weights.items() if name not in tied}

    def _spared(self) -> int | None:
        """The step of the checkpoint that may become the result."""
        return self.best.step if self.attempt.config.keep_best else None

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The platform writes the model's card; a checkpoint needs none."""

    def _progress(self) -> dict[str, Any]:
        return {
            "seconds": self.attempt.clock.seconds,
            "tokens": self._total_train_tokens,
            "rows": self._rows,
            "unlogged_loss": self._tr_loss.item(),
            "logged_loss": self._total_loss_scalar,
            "last_logged_step": self._globalstep_last_logged,
            "averages": {key: list(values) for key, values in self._metrics["train"].items()},
            "owes_evaluation": self.owes_evaluation,
            "best": self.best.state(),
            "last_values": self.last_values,
            "last_evaluation": self.last_evaluation,
            "last_evaluated_step": self.last_evaluated_step,
        }

    def _restore(self, progress: dict[str, Any]) -> None:
        """Continue counts and half-collected averages, so that the next point of the curve is the same as uninterrupted."""
        self._total_train_tokens, self._rows = progress["tokens"], progress["rows"]
        self._tr_loss.fill_(progress["unlogged_loss"])
        self._total_loss_scalar = progress["logged_loss"]
        self._globalstep_last_logged = progress["last_logged_step"]
        self._metrics["train"].update(progress["averages"])
        self.owes_evaluation = progress["owes_evaluation"]
        self.best = Best(**progress.get("best", {}))
        self.last_values = progress.get("last_values", {})
        self.last_evaluation = progress.get("last_evaluation", {})
        self.last_evaluated_step = progress.get("last_evaluated_step")


def local(parameter: Any) -> Any:
    """This rank's part of a parameter that is split over ranks; else the parameter."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def _rows(inputs: dict[str, Any]) -> int:
    if "cu_seq_lens_q" in inputs:
        return int(inputs["cu_seq_lens_q"].numel()) - 1
    pairs = "completion_mask" in inputs and "label" not in inputs  # one row's two answers
    return int(inputs["input_ids"].shape[0]) // (2 if pairs else 1)
