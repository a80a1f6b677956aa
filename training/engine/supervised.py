"""The parts that supervised methods (sft, lora, …) share: examples, TRL's trainer, the run itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from . import distributed, fastpath
from .arguments import trainer_arguments
from .attempt import Attempt
from .best import NothingLeft, best_checkpoint
from .checkpoints import Checkpoint
from .data import Prepared, prepare
from .evaluation import TokenMeans
from .failures import bad_data
from .measure import packages
from .model import Device
from .output import write_output
from .preflight import look_at_first_batch
from .splits import longest, prepare_splits
from .stopping import Cancelled

LOST = 0.3  # share of answers cut off beyond which a run hardly teaches what was meant


@dataclass(frozen=True)
class Examples:
    """Tokenised rows, ready for a trainer."""

    train: Any
    evaluation: Any | None


def load_examples(attempt: Attempt, tokenizer: Any) -> Examples:
    """Tokenise the spec's rows, hold some out, and say in the log what was cut or dropped."""
    config = attempt.config
    options = {
        "assistant_only": config.assistant_only_loss,
        "last_only": config.mask_history,
        "chunks": attempt.spec.method == "pretrain",
    }
    train, evaluation = prepare_splits(attempt, tokenizer, prepare, **options)
    _report(attempt, train, evaluation)
    loaded = train.load()
    if attempt.config.packing:
        loaded = _pack(attempt, loaded)
    return Examples(loaded, evaluation.load() if evaluation and evaluation.rows else None)


def _report(attempt: Attempt, train: Prepared, evaluation: Prepared | None) -> None:
    rows = train.rows + len(train.dropped)
    if not train.rows:
        raise bad_data(
            "No row has anything to learn: the answers are missing, or max_length cuts all of them away.",
            "Raise max_length, or check that the dataset has assistant messages.",
        )
    attempt.log(
        f"{train.rows} rows to learn from, {evaluation.rows if evaluation else 0} held out; "
        f"{train.tokens} tokens, {train.trained_tokens} of them learned. The first row teaches: {train.example!r}"
    )
    if train.divided:
        attempt.log(f"{train.divided} texts are longer than max_length and were divided; no token is left out.")
    if train.cut:
        attempt.log(f"{train.cut} of {rows} rows are longer than max_length and were cut.", "warning")
    if attempt.spec.data.kind != "text" and train.lost_answers > LOST * rows:
        attempt.log(
            f"{train.lost_answers / rows:.0%} of the rows lose the end of their answer to max_length: the model would learn to "
            f"break off. The longest row has {train.longest} tokens; raise max_length.",
            "warning",
        )
    if train.dropped:
        lines = ", ".join(str(line) for line in train.dropped[:10])
        attempt.log(f"{len(train.dropped)} of {rows} rows have no answer left to learn and are skipped (lines {lines}).", "warning")
    if train.unlike:
        attempt.log(f"The chat template changes {train.unlike} of the first answers: look at the first row above.", "warning")


def _pack(attempt: Attempt, rows: Any) -> Any:
    """Several rows in one sequence of max_length, none cut; the collator keeps each row's attention to itself."""
    from trl import pack_dataset

    packed = pack_dataset(rows.shuffle(seed=attempt.config.seed), longest(attempt), "bfd")
    attempt.log(f"{len(rows)} rows are packed into {len(packed)} sequences.")
    return packed


def sft_trainer(
    attempt: Attempt, device: Device, model: Any, tokenizer: Any, examples: Examples, resumed: Checkpoint | None
) -> Any:
    """TRL's SFT trainer with our mixin, fed with finished tokens and labels."""
    from trl import SFTConfig, SFTTrainer

    from .trainer import Durable

    class Trainer(Durable, SFTTrainer):
        pass

    evaluates = examples.evaluation is not None
    arguments = trainer_arguments(attempt, device, examples=len(examples.train), evaluates=evaluates, resuming=resumed is not None)
    layout: dict[str, Any] = {"packing": True, "eval_packing": False} if attempt.config.packing else {}
    layout["padding_free"] = fastpath.choose(attempt, device, model)
    trainer = Trainer(
        model=model,
        args=distributed.keep_precision(
            SFTConfig(
                **arguments,
                **layout,
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
                label_smoothing_factor=attempt.config.label_smoothing_factor,
            )
        ),
        train_dataset=examples.train,
        eval_dataset=examples.evaluation,
        processing_class=tokenizer,
    )
    fastpath.finish(attempt, device, model)
    look_at_first_batch(attempt, trainer, tokenizer)
    trainer.attach(
        attempt, device.kind, resumed, TokenMeans(), lambda steps: started(attempt, device, trainer, examples, resumed, steps)
    )
    return trainer


def started(attempt: Attempt, device: Device, trainer: Any, examples: Examples, resumed: Checkpoint | None, steps: int) -> None:
    """Say what begins: how long it is, what learns, on what."""
    parameters = list(trainer.model.parameters())
    attempt.events.emit(
        "started",
        resumed_from_step=resumed.step if resumed else 0,
        total_steps=steps,
        epochs=attempt.config.num_train_epochs,
        trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        parameters=sum(parameter.numel() for parameter in parameters),
        device=device.name,
        dtype="bfloat16" if trainer.args.bf16 else "float16" if trainer.args.fp16 else "float32",
        packages=packages(),
        train_rows=len(examples.train),
        eval_rows=len(examples.evaluation) if examples.evaluation is not None else 0,
    )


def fit(attempt: Attempt, trainer: Any, tokenizer: Any, resumed: Checkpoint | None) -> dict[str, float]:
    """Train to the end, evaluate once more, write output/. Cancelled when stopped; its checkpoint is on disk by then."""
    with contextlib.suppress(NothingLeft):
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    if trainer.cancelled:
        raise Cancelled(trainer.state.global_step)
    last = trainer.state.global_step
    if trainer.eval_dataset is not None and trainer.last_evaluated_step != last and not trainer.best.stopped:
        trainer._evaluate(None, None)
        if trainer.cancelled:
            raise Cancelled(last)
    trainer.say_samples()
    trainer.tell_memory()
    attempt.stop.check(last)
    attempt.phase("saving")
    values, step = trainer.last_values | trainer.last_evaluation, last
    chosen = best_checkpoint(attempt, trainer.best, last)
    if chosen is not None:
        trainer.state.best_model_checkpoint = str(chosen)
        trainer._load_best_model()
        values, step = values | trainer.best.values, trainer.best.step
    weights = trainer.whole_weights()
    if not attempt.world.is_main:
        return values
    digest = write_output(attempt, trainer.model, tokenizer, values, step, weights)
    attempt.events.emit("finished", outcome="succeeded", step=last, output="output", sha256=digest, values=values)
    return values
