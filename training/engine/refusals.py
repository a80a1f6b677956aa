"""What a run can't do with this model or on this device, known before a weight is loaded: {option: why and what to do}.

The platform asks before it queues a job, the engine asks again when it starts: the run's machine may be another one.
"""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from .checks import adapter_of, needing_evaluation
from .installed import is_missing
from .kernels import why_not
from .model import Device
from .optimizers import optimizer_refusal
from .options import Config
from .shapes import Shape, ShapeError, read_shape
from .templates import NO_TEMPLATE, lacks_template

COMPILERS = ("c++", "g++", "clang++")


def model_refusals(method: str, config: Config, directory: Path, kind: str) -> dict[str, str]:
    """What the model in this directory can't do with these options and this kind of rows."""
    found = {}
    if kind != "text" and config.chat_template == "model" and lacks_template(directory):
        found["chat_template"] = NO_TEMPLATE
    if adapter_of(method, vars(config)) != "none" and config.lora_target_modules != ["all-linear"]:
        found |= _unknown_targets(config, directory)
    return found


def _unknown_targets(config: Config, directory: Path) -> dict[str, str]:
    try:
        shape = read_shape(directory)
    except ShapeError:  # the engine looks at the model itself
        return {}
    wrong = [name for name in config.lora_target_modules if name not in _names(shape)]
    return {"lora_target_modules": " ".join(target_words(name, _names(shape)) for name in wrong)} if wrong else {}


def _names(shape: Shape) -> list[str]:
    return sorted({linear.name for linear in shape.linears})


def target_words(name: str, known: list[str]) -> str:
    """Why a layer's name is refused, with its nearest relatives."""
    if name in ("lm_head", "embed_out"):
        return f"{name} is the output head, which can't carry an adapter here."
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"This model has no {name!r}. " + (f"Did you mean {', '.join(near)}?" if near else f"It has: {', '.join(known)}.")


def device_refusals(method: str, config: Config, device: Device) -> dict[str, str]:
    """What this device can't do."""
    adapter = adapter_of(method, vars(config)) != "none"
    found = {
        "bf16": _bf16(config, device),
        "fp16": "needs a GPU. Leave it off or use bf16." if config.fp16 and device.kind == "cpu" else None,
        "optim": optimizer_refusal(config.optim, device=device.kind, adapter=adapter),
        "kernels": None if config.kernels in ("auto", "none") else why_not(config.kernels, method, config, device.kind),
        "torch_compile": _compile(config, device),
    }
    return {name: text for name, text in found.items() if text}


def _bf16(config: Config, device: Device) -> str | None:
    if config.bf16 and device.kind == "cuda" and not device.bf16:
        return f"{device.name} has no bfloat16. Use fp16 or leave it open."
    return None


def _compile(config: Config, device: Device) -> str | None:
    if not config.torch_compile:
        return None
    if device.kind == "mps":
        return "torch.compile is not ready for Apple GPUs. Turn it off."
    if device.kind == "cpu" and not any(map(shutil.which, COMPILERS)):
        return "needs a C++ compiler, which is not installed where the run would start. Install g++ or turn it off."
    if device.kind == "cuda" and is_missing("triton"):
        return "needs the package triton, which is not installed where the run would start. Install it or turn it off."
    return None


def evaluation_refusals(config: Config, *, evaluates: bool) -> dict[str, str]:
    """Options that follow eval_loss, in a run without rows to evaluate on."""
    text = "needs rows to evaluate on. Raise eval_fraction or choose an evaluation split."
    return {} if evaluates else dict.fromkeys(needing_evaluation(config), text)
