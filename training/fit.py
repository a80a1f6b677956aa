"""Whether a model of a size could be fine-tuned on this machine, from the estimator's own formulas.

models_app shows this beside every model of the Hub; it lies below us, so it asks for it by name (settings.MODEL_FIT).
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from finetune.core.templatetags.ui import size
from training.device_reports import worker_devices
from training.devices import Device
from training.engine import plans
from training.engine.families import FAMILIES
from training.engine.shapes import Shape, ShapeError, shape_from_config
from training.engine.spec import Config, defaults_for

LENGTH = 512  # tokens of a typical row
TIGHT = 0.85  # of the device's memory: beyond, a longer row or another program makes it fail
# As people would weigh them: the least memory first, then those that learn more than answers, then every weight.
ORDER = ("qlora", "lora", "dpo", "orpo", "kto", "pretrain", "sft")
# Parameters in billions → layers and width of Llama-like models of about that size.
SIZES = ((0.2, 30, 576), (0.6, 24, 896), (1.6, 22, 2048), (4, 32, 2560), (9, 32, 4096), (18, 40, 5120), (40, 60, 6656))
LARGEST = (80, 8192)


@dataclass(frozen=True)
class MethodFit:
    """One method with its defaults: `verdict` is ok, tight, too_big or unknown, `needed_bytes` the expected peak."""

    method: str
    verdict: str
    needed_bytes: int | None = None


@dataclass(frozen=True)
class DeviceFit:
    """One kind of device of this machine, and how many there are."""

    name: str
    count: int
    memory_bytes: int | None
    methods: list[MethodFit]


@dataclass(frozen=True)
class Fit:
    """`verdict` is that of the best adapter method on the device that a run would use, `devices[0]`; `needed_bytes` is its peak."""

    verdict: str
    words: str
    needed_bytes: int | None
    device_bytes: int | None
    devices: list[DeviceFit]


def fit(parameters: int | None, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """How each method would fit each kind of device here, for a model with so many parameters. `config` is its config.json, where known.

    ok: with room to spare; tight: nearly all of the memory (as a whole also: with QLoRA only); too_big: not even so; unknown: nobody
    knows the model's or the device's size. DPO, ORPO, KTO and pretrain are foreseen over LoRA, as they are by default.
    """
    kinds = _kinds(int(time.monotonic() // 60))
    shape = _shape(parameters, config) if parameters else None
    devices = [
        DeviceFit(device.name, count, device.memory_bytes, _methods(shape, parameters or 0, device)) for device, count in kinds
    ]
    return asdict(_judged(kinds[0][0], devices))


def _methods(shape: Shape | None, parameters: int, device: Device) -> list[MethodFit]:
    if shape is None or device.memory_bytes is None:
        return [MethodFit(method, "unknown") for method in ORDER]
    able = [method for method in ORDER if not (method == "qlora" and device.kind == "mps")]  # no four-bit kernels there
    needed = {method: _peak(shape, parameters, method, device.kind, device.name, device.bf16) for method in able}
    return [MethodFit(method, _verdict(peak, device.memory_bytes), peak) for method, peak in needed.items()]


def _verdict(needed: int, there: int) -> str:
    if needed > there:
        return "too_big"
    return "ok" if needed <= TIGHT * there else "tight"


def _judged(device: Device, devices: list[DeviceFit]) -> Fit:
    found = {method.method: method for method in devices[0].methods}
    lora, qlora = found["lora"], found.get("qlora")
    if lora.needed_bytes is None:
        known = device.memory_bytes is not None
        return Fit("unknown", "Its size is not known." if known else "This machine does not tell its memory.", None, None, devices)
    if lora.verdict == "too_big" and qlora and qlora.verdict != "too_big":
        return _said("tight", "Only QLoRA fits. It", qlora, device, devices)
    return _said(lora.verdict, "LoRA", lora, device, devices)


def _said(verdict: str, what: str, method: MethodFit, device: Device, devices: list[DeviceFit]) -> Fit:
    words = f"{what} needs about {size(method.needed_bytes)}; {device.name} has {size(device.memory_bytes)}."
    return Fit(verdict, words, method.needed_bytes, device.memory_bytes, devices)


@lru_cache(maxsize=1)
def _kinds(minute: int) -> list[tuple[Device, int]]:
    """The devices by kind, name and memory, with how many there are. The first is what a run would use: of the kind that the engine
    would choose, the one with the most memory. Asked once a minute."""
    devices = worker_devices()
    alike: dict[tuple[str, str, int | None], list[Device]] = {}
    for device in devices:
        alike.setdefault((device.kind, device.name, device.memory_bytes), []).append(device)
    kinds = [(same[0], len(same)) for same in alike.values()]
    return sorted(kinds, key=lambda kind: (kind[0].kind != devices[0].kind, -(kind[0].memory_bytes or 0)))


def _shape(parameters: int, config: dict[str, Any] | None) -> Shape:
    if config and str(config.get("model_type")) in FAMILIES:
        try:
            shape = shape_from_config(config, stored_bytes=2.0)
            hash(shape)  # peaks are remembered by it
            return shape
        except (ShapeError, KeyError, TypeError, ZeroDivisionError):
            pass  # a config that leaves something out: a typical model of its size tells enough
    layers, hidden = next(((layers, hidden) for most, layers, hidden in SIZES if parameters <= most * 1e9), LARGEST)
    heads = max(1, hidden // 64)
    typical = {
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 4), "intermediate_size": 3 * hidden, "vocab_size": 64_000,
    }  # fmt: skip
    shape = shape_from_config(typical, stored_bytes=2.0)
    a_layer = (shape.attention + shape.mlp) / layers
    fitting = layers + round((parameters - shape.parameters) / a_layer)  # as many layers as make up its parameters
    return shape_from_config(typical | {"num_hidden_layers": max(1, fitting)}, stored_bytes=2.0)


@lru_cache(maxsize=4096)
def _peak(shape: Shape, parameters: int, method: str, kind: str, name: str, bf16: bool | None) -> int:
    """Expected peak bytes with the defaults and one row at a time; what the shape has too few or too many of is added as weights."""
    config = Config(**{**defaults_for(method), "per_device_train_batch_size": 1, "gradient_checkpointing": True})
    device = plans.device_of(kind, name, bf16)
    found = plans.forecast(
        shape, method, config, device, lengths=[LENGTH], rows=64, eval_rows=0, labelled=1.0, cores=os.cpu_count() or 1
    )
    a_parameter = found.memory.parts.weights / max(1, shape.parameters)
    return int(found.memory.expected + (parameters - shape.parameters) * a_parameter)
