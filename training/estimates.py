"""What is foreseen for a run, corrected by what earlier runs on this kind of device really needed.

Nothing of the forecast is stored: a finished run is foreseen again in the same way, and how far that is from what it
measured corrects the next one. So a better formula is at once better for every run there has been.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import statistics
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets_app.models import Dataset
from models_app.models import LanguageModel
from training.calibration import Count, Pace, Timing, pace_of, token_ratio
from training.engine import data, plans
from training.engine.memory import Memory
from training.engine.model import Device
from training.engine.plans import Forecast
from training.engine.shapes import Shape, ShapeError, read_shape
from training.engine.spec import Config, SpecError, adapter_of, check_config
from training.models import TrainingJob
from training.row_lengths import labelled_share, sample_rows

logger = logging.getLogger(__name__)
LOOKED_AT = 12  # newest finished runs that are compared
SIMILAR_SPREAD, SAME_DEVICE_SPREAD, UNKNOWN_SPREAD = 0.25, 0.6, 2.0
MEMORY_SPREAD = 0.08
BOUNDS = (0.2, 20.0)  # a ratio outside says that the run was disturbed, not that the formula is wrong


@dataclass(frozen=True)
class Wanted:
    """A run that may be: everything its forecast depends on."""

    model: LanguageModel
    dataset: Dataset
    method: str
    config: Config
    train_split: str = ""
    eval_split: str = ""


@dataclass(frozen=True)
class Calibration:
    """Corrections from finished runs. `tokens` multiplies what was foreseen, as `memory` does, which is None when nothing similar ran."""

    pace: Pace
    tokens: float
    memory: float | None
    spread: float
    words: str


@dataclass(frozen=True)
class Outcome:
    """One finished run: its time and tokens, and how many times more memory it needed than was foreseen."""

    timing: Timing
    tokens: Count
    memory: float
    similar: bool


def foresee(wanted: Wanted, device: Device, *, token_ratio: float = 1.0) -> Forecast:
    """The uncorrected forecast of a run on a device. ShapeError and OSError when the model's or the dataset's files don't tell."""
    shape, sample = shape_of(wanted.model), sample_rows(learned_rows(wanted), wanted.dataset.kind)
    rows, eval_rows = split_rows(wanted)
    if wanted.method == "kto" and wanted.dataset.kind == "preference":  # each pair is two rated answers
        rows, eval_rows = 2 * rows, 2 * eval_rows
    lengths = [max(2, round(length * token_ratio)) for length in sample.lengths(shape.vocab)]
    return plans.forecast(
        shape, wanted.method, wanted.config, device, lengths=lengths, rows=rows, eval_rows=eval_rows,
        labelled=labelled_share(wanted.method, sample, wanted.config), shared=sample.shared, cores=os.cpu_count() or 1,
    )  # fmt: skip


def learned_rows(wanted: Wanted) -> Path:
    """The file of the split to learn from."""
    return wanted.dataset.split_file(wanted.train_split or "train")


def shape_of(model: LanguageModel) -> Shape:
    """The model's shape, read once for each version of its files."""
    config = model.directory / "config.json"
    try:
        return _shape(model.directory, config.stat().st_mtime_ns)
    except OSError as error:
        raise ShapeError("The model's config.json is missing.") from error


@lru_cache(maxsize=64)
def _shape(directory: Path, modified: int) -> Shape:
    return read_shape(directory)


def split_rows(wanted: Wanted) -> tuple[int, int]:
    """Rows that are learned and rows that are held out, as the engine divides them."""
    splits = wanted.dataset.splits
    rows = splits.get(wanted.train_split) or wanted.dataset.rows or 1
    if wanted.eval_split:
        return rows, splits.get(wanted.eval_split, 0)
    held = len(data.held_out(rows, wanted.config.eval_fraction, 0)) if rows < 1000 else round(rows * wanted.config.eval_fraction)
    return rows - held, held


def calibrate(wanted: Wanted, device: Device) -> Calibration:
    """What the newest finished runs on this kind of device say. Everybody's count, since only ratios leave this module."""
    outcomes = [outcome for job in _finished(device.kind) if (outcome := compare(job, wanted, device))]
    similar = [outcome for outcome in outcomes if outcome.similar]
    used = similar or outcomes
    if not used:
        return Calibration(Pace(), 1.0, None, UNKNOWN_SPREAD, "nothing yet: no run has finished on this kind of device")
    return Calibration(
        pace=pace_of([outcome.timing for outcome in used], similar=bool(similar)),
        tokens=token_ratio([outcome.tokens for outcome in similar]) if similar else 1.0,
        memory=statistics.median(outcome.memory for outcome in similar) if similar else None,
        spread=SIMILAR_SPREAD if similar else SAME_DEVICE_SPREAD,
        words=f"{len(used)} finished run{'s' if len(used) > 1 else ''} "
        + ("of this model and method" if similar else "of other models")
        + " on this kind of device",
    )


def compare(job: TrainingJob, wanted: Wanted, device: Device) -> Outcome | None:
    """What a finished run measured against what would have been foreseen for it; None when its files are gone or its numbers can't be."""
    ran = wanted_by(job)
    numbers = measured(job)
    if ran is None or numbers is None:
        return None
    try:
        blind = foresee(ran, device)
        # Seconds are compared for the tokens there really were, so that the two corrections don't mix.
        found = foresee(ran, device, token_ratio=numbers["tokens"] / blind.work.tokens)
    except (ShapeError, OSError, KeyError, ArithmeticError):
        logger.info("Job %s can't be compared with its forecast.", job.pk, exc_info=True)
        return None
    timing = _timing(job, found, numbers["seconds"])
    if not BOUNDS[0] <= timing.steady / found.training_seconds <= BOUNDS[1]:
        return None
    work = blind.work
    tokens = Count(numbers["tokens"], work.tokens, work.tokens / work.mean_length, work.rows)
    return Outcome(timing, tokens, numbers["memory"] / found.memory.expected, _is_similar(ran, wanted))


def _timing(job: TrainingJob, found: Forecast, seconds: float) -> Timing:
    """How long its steps took; those up to the first point of its curve apart, where that was kept and others came after it."""
    steps = job.progress.get("step") or found.work.steps
    step, until = job.progress.get("first_point") or (0, 0.0)
    first = (step, until) if step < steps and until < seconds else (0, 0.0)
    return Timing(found.computing_seconds, found.layer_seconds, seconds, steps, *first)


def _is_similar(ran: Wanted, wanted: Wanted) -> bool:
    """Whether it trained the same weights in the same way."""
    of_run, of_wanted = (adapter_of(one.method, {"adapter": one.config.adapter}) for one in (ran, wanted))
    return ran.model.pk == wanted.model.pk and ran.method == wanted.method and of_run == of_wanted


def wanted_by(job: TrainingJob) -> Wanted | None:
    """The run of a job, to be foreseen again; None when its options are no longer known."""
    try:
        config = Config(**check_config(job.method, job.config))
    except (SpecError, KeyError):
        return None
    return Wanted(job.model, job.dataset, job.method, config, job.train_split, job.eval_split)


def measured(job: TrainingJob) -> dict[str, float] | None:
    """{seconds of training, tokens, peak memory} of a run; None when one of them was not recorded."""
    numbers: dict[str, Any] = {
        "seconds": job.progress.get("elapsed_seconds"),
        "tokens": job.metrics.get("num_tokens"),
        "memory": job.memory.get("peak_bytes"),
    }
    return {key: float(value) for key, value in numbers.items()} if all(numbers.values()) else None


def corrected_memory(memory: Memory, calibration: Calibration) -> Memory:
    """The forecast's level as similar runs measured it, with a narrower range; unchanged when none ran."""
    if calibration.memory is None:
        return memory
    return dataclasses.replace(memory.scaled(calibration.memory, MEMORY_SPREAD), parts=memory.parts)


def _finished(kind: str) -> list[TrainingJob]:
    """The newest succeeded runs on this kind of device."""
    jobs = TrainingJob.objects.filter(status=TrainingJob.Status.SUCCEEDED, memory__device=kind, executor="local")
    return list(jobs.select_related("model", "dataset").order_by("-finished_at", "-pk")[:LOOKED_AT])
