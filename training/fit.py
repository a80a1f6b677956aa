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
# Parameters in billions → layers and width of Llama-like models of about that size.
SIZES = ((0.2, 30, 576), (0.6, 24, 896), (1.6, 22, 2048), (4, 32, 2560), (9, 32, 4096), (18, 40, 5120), (40, 60, 6656))
LARGEST = (80, 8192)


@dataclass(frozen=True)
class Fit:
    """`verdict` is ok, tight, too_big or unknown; `needed_bytes` is the expected peak of a LoRA run (QLoRA where only that fits)."""

    verdict: str
    words: str
    needed_bytes: int | None = None
    device_bytes: int | None = None


def fit(parameters: int | None, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """How a LoRA run of a model with so many parameters would fit the largest device here. `config` is its config.json, where known.

    ok: with room to spare; tight: nearly all of the memory, or with QLoRA only; too_big: not even so; unknown: nobody knows its size.
    """
    device = _largest(int(time.monotonic() // 60))
    if not parameters or device.memory_bytes is None:
        return asdict(Fit("unknown", "Its size is not known." if not parameters else "This machine does not tell its memory."))
    shape = _shape(parameters, config)
    lora = _peak(shape, parameters, "lora", device)
    if lora <= device.memory_bytes:
        roomy = lora <= TIGHT * device.memory_bytes
        return asdict(_said("ok" if roomy else "tight", "LoRA", lora, device))
    if device.kind == "cuda" and (qlora := _peak(shape, parameters, "qlora", device)) <= device.memory_bytes:
        return asdict(_said("tight", "Only QLoRA fits. It", qlora, device))
    return asdict(_said("too_big", "LoRA", lora, device))


def _said(verdict: str, what: str, needed: int, device: Device) -> Fit:
    words = f"{what} needs about {size(needed)}; {device.name} has {size(device.memory_bytes)}."
    return Fit(verdict, words, needed, device.memory_bytes)


@lru_cache(maxsize=1)
def _largest(minute: int) -> Device:
    """The kind of device the engine would choose (the first), and of those the one with the most memory. Asked once a minute."""
    devices = worker_devices()
    same = [device for device in devices if device.kind == devices[0].kind]
    return max(same, key=lambda device: device.memory_bytes or 0)


def _shape(parameters: int, config: dict[str, Any] | None) -> Shape:
    if config and str(config.get("model_type")) in FAMILIES:
        try:
            return shape_from_config(config, stored_bytes=2.0)
        except (ShapeError, KeyError, TypeError, ZeroDivisionError):
            pass  # a config that leaves something out: a typical model of its size tells enough
    layers, hidden = next(((layers, hidden) for most, layers, hidden in SIZES if parameters <= most * 1e9), LARGEST)
    heads = max(1, hidden // 64)
    typical = {
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 4), "intermediate_size": 3 * hidden, "vocab_size": 64_000,
    }  # fmt: skip
    return shape_from_config(typical, stored_bytes=2.0)


def _peak(shape: Shape, parameters: int, method: str, device: Device) -> int:
    """Expected peak bytes with the defaults and one row at a time; what the shape has too few or too many of is added as weights."""
    config = Config(**{**defaults_for(method), "per_device_train_batch_size": 1, "gradient_checkpointing": True})
    kind = plans.device_of(device.kind, device.name, device.bf16)
    found = plans.forecast(
        shape, method, config, kind, lengths=[LENGTH], rows=64, eval_rows=0, labelled=1.0, cores=os.cpu_count() or 1
    )
    a_parameter = found.memory.parts.weights / max(1, shape.parameters)
    return int(found.memory.expected + (parameters - shape.parameters) * a_parameter)
