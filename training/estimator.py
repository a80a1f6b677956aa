"""What a run would need on one device, corrected by what ran before, and what to change when it doesn't fit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from finetune.core.errors import invalid_field
from training.device_reports import worker_devices
from training.devices import Device
from training.engine.memory import Memory
from training.engine.model import Device as EngineDevice
from training.engine.options import PREFERENCE
from training.engine.plans import Forecast, device_of
from training.engine.quantization import obstacle
from training.engine.shapes import ShapeError
from training.engine.spec import Config, adapter_of, defaults_for
from training.estimates import Calibration, Wanted, calibrate, corrected_memory, foresee
from training.models import TrainingJob

SHORTEST = 128  # tokens; shorter rows are not worth advising
MOST_ADVICE = 4
# Options that cost time and change nothing about what is learned.
HARMLESS = {"gradient_checkpointing", "per_device_train_batch_size", "gradient_accumulation_steps"}


@dataclass(frozen=True)
class Advice:
    """A change that makes the job fit: `config` holds the options to set, `method` another method or nothing."""

    text: str
    config: dict[str, Any]
    method: str | None = None


@dataclass(frozen=True)
class Range:
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What POST /api/training/estimate answers. `fits` is None where the device does not tell its memory."""

    tokens: int
    steps: int
    duration_seconds: Range
    memory_bytes: dict[str, Any]
    fits: bool | None
    device: str
    device_name: str
    device_memory_bytes: int | None
    device_free_bytes: int | None
    cost: dict[str, Any]
    advice: list[Advice]
    calibrated_on: str
    truncated_share: float


class Estimator:
    """One question and the device it is asked about. `here` says whether it is this machine's, whose memory is shared with what runs
    now; `calibration` is that of another device of its kind, where it was asked for already."""

    def __init__(self, wanted: Wanted, device: Device, *, here: bool = True, calibration: Calibration | None = None):
        self.wanted, self.device = wanted, device
        self.kind = device_of(device.kind, device.name, device.bf16)
        try:
            self.calibration = calibration or calibrate(wanted, _ran_on(device, here))
            self.found = self._foresee(wanted)
        except ShapeError as error:
            raise invalid_field("model_id", f"This model can't be estimated: {error}") from error
        except OSError as error:
            raise invalid_field("dataset_id", "The dataset's rows are not on this machine. Validate it again.") from error
        self.free = _free_bytes(device) if here else device.memory_bytes

    def estimate(self) -> Estimate:
        memory, work = self.memory(), self.found.work
        parts = dataclasses.asdict(memory.parts)
        return Estimate(
            tokens=work.tokens,
            steps=work.steps,
            duration_seconds=self.duration(),
            memory_bytes={"low": memory.low, "high": memory.high, "expected": memory.expected, "parts": parts},
            fits=None if self.free is None else memory.expected <= self.free,
            device=self.device.id,
            device_name=self.device.name,
            device_memory_bytes=self.device.memory_bytes,
            device_free_bytes=self.free,
            cost={"low": 0.0, "high": 0.0, "currency": "USD", "price_as_of": None},
            advice=self._advice(memory),
            truncated_share=round(work.cut, 4),
            calibrated_on=f"{self.calibration.words}; token counts from a sample of rows",
        )

    def memory(self) -> Memory:
        return corrected_memory(self.found.memory, self.calibration)

    def duration(self) -> Range:
        """Seconds from Start to the end: the computing corrected by what ran before, and what goes on beside it."""
        pace, found = self.calibration.pace, self.found
        computing = pace.seconds(found.computing_seconds + found.reference_seconds + found.evaluation_seconds, found.layer_seconds)
        spread, beside = 1 + self.calibration.spread, self.found.beside_seconds
        return Range(round(computing / spread + beside / 2, 1), round(computing * spread + beside * 2, 1))

    def _foresee(self, wanted: Wanted) -> Forecast:
        return foresee(wanted, self.kind, token_ratio=self.calibration.tokens)

    def _advice(self, memory: Memory) -> list[Advice]:
        """Changes that make the whole range fit. First those that leave the result as it is, alone or as many together as it
        takes, then each other one alone; a combination of all kinds only where nothing else is enough."""
        if self.free is None or memory.high <= self.free:
            return []
        changes = list(_changes(self.wanted, self.found))
        harmless = [advice for advice in changes if set(advice.config) <= HARMLESS and not advice.method]
        enough = [advice for advice in harmless if self._fits(advice)] or self._first_combination(harmless)
        enough += [advice for advice in changes if advice not in harmless and self._fits(advice)]
        return (enough or self._first_combination(changes))[:MOST_ADVICE]

    def _first_combination(self, changes: list[Advice]) -> list[Advice]:
        return next(([advice] for advice in _together(changes) if self._fits(advice)), [])

    def _fits(self, advice: Advice) -> bool:
        assert self.free is not None
        method = advice.method or self.wanted.method
        changed = dataclasses.replace(self.wanted, method=method, config=dataclasses.replace(self.wanted.config, **advice.config))
        return corrected_memory(self._foresee(changed).memory, self.calibration).high <= self.free


def _changes(wanted: Wanted, found: Forecast) -> Iterator[Advice]:
    """What can be changed, the cheapest for the result first."""
    config = wanted.config
    if not found.plan.checkpointing:
        text = "Turn gradient checkpointing on: the same result, about a third slower."
        yield Advice(text, {"gradient_checkpointing": True})
    yield from _smaller_batches(config, least=2 if wanted.method == "kto" else 1)  # KTO compares a batch's rows
    yield from _shorter_rows(config, found)
    if found.plan.device == "cpu" and found.plan.adapter != "none" and not found.plan.autocast:
        yield Advice("Hold the frozen weights in bfloat16: half their size, slower where the processor lacks it.", {"bf16": True})
    yield from _smaller_models(wanted)


LIGHTER = {
    "none": (("lora", "Train LoRA adapters instead of every weight."), ("qlora", "Train on 4-bit weights (QLoRA).")),
    "lora": (("qlora", "Train on 4-bit weights (QLoRA)."),),
    "qlora": (),
}


def _smaller_models(wanted: Wanted) -> Iterator[Advice]:
    """What holds less in memory beside what learns, where this machine can."""
    config = dataclasses.asdict(wanted.config)
    for adapter, text in LIGHTER[adapter_of(wanted.method, config)]:
        if adapter == "qlora" and obstacle():
            continue
        if wanted.method in PREFERENCE:
            yield Advice(text, {"adapter": adapter, "learning_rate": defaults_for(wanted.method, adapter)["learning_rate"]})
        else:
            rate = {"learning_rate": defaults_for(adapter)["learning_rate"]} if wanted.method == "sft" else {}
            yield Advice(text, rate, adapter)


def _smaller_batches(config: Config, least: int) -> Iterator[Advice]:
    """Halved micro-batches with as many more accumulated, so that the effective batch stays the same."""
    size, accumulated = config.per_device_train_batch_size, config.gradient_accumulation_steps
    while size > least and size % 2 == 0:
        size, accumulated = size // 2, accumulated * 2
        text = (
            f"Work on {size} row{'s' if size > 1 else ''} at once and accumulate {accumulated}: the effective batch stays the same."
        )
        yield Advice(text, {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulated})


def _shorter_rows(config: Config, found: Forecast) -> Iterator[Advice]:
    """Lengths of a half, a quarter, … of the longest row."""
    length = 2 ** math.floor(math.log2(max(2, min(found.work.width, config.max_length) - 1)))
    while length >= SHORTEST:
        yield Advice(f"Cut rows at {length} tokens.", {"max_length": length})
        length //= 2


def _together(changes: list[Advice]) -> Iterator[Advice]:
    """The first two changes as one, the first three, …; another method stays out."""
    config: dict[str, Any] = {}
    for advice in changes:
        if advice.method is None:
            config |= advice.config
            yield Advice(f"Change together: {', '.join(f'{name} {value}' for name, value in config.items())}.", dict(config))


def _ran_on(device: Device, here: bool) -> EngineDevice:
    """The device that finished runs of its kind ran on: what they say of this machine's holds for a provider's as well, but a provider's
    own speed is no measure for them."""
    same = device if here else next((one for one in worker_devices() if one.kind == device.kind), device)
    return device_of(same.kind, same.name, same.bf16)


def _free_bytes(device: Device) -> int | None:
    """What a job could have: free memory now, and what runs of ours that end before it starts hold."""
    if device.memory_bytes is None:
        return None
    running = TrainingJob.objects.filter(status__in=(TrainingJob.Status.RUNNING, TrainingJob.Status.CANCELLING), executor="local")
    ours = sum(memory.get("peak_bytes") or 0 for memory in running.values_list("memory", flat=True))
    return min(device.memory_bytes, device.memory_bytes - (device.memory_used_bytes or 0) + ours)
