"""Kernels of other packages, used where they are installed and suit the run; never needed.

liger-kernel replaces a loaded model's norms, rotary embeddings and MLPs by fused Triton kernels. unsloth brings its own models
for adapters; it changes the libraries it is imported into, so `auto` takes it only where liger-kernel is not installed.
The loss stays ours either way (labelloss.py, TRL's fused head). Whatever is taken, fastpath.py compares the model's answers
before it drops padding.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .attempt import Attempt
from .checks import adapter_of
from .failures import bad_spec
from .installed import is_missing
from .options import Config

MODULES = {"liger": "liger_kernel", "unsloth": "unsloth"}
PACKAGES = {"liger": "liger-kernel", "unsloth": "unsloth"}


@dataclass(frozen=True)
class Choice:
    """What a run computes with, and why not with the others."""

    name: str = "none"
    refused: dict[str, str] = field(default_factory=dict)

    def words(self) -> str:
        others = "; ".join(f"not {PACKAGES[name]}: {why}" for name, why in self.refused.items())
        return f"Kernels: {PACKAGES.get(self.name, 'those of torch and transformers')}{f' ({others})' if others else ''}."


def why_not(name: str, method: str, config: Config, device: str) -> str | None:
    """Why these kernels can't be used for a run on this kind of device; None when they can."""
    if device != "cuda":
        return f"{PACKAGES[name]} needs an NVIDIA GPU."
    if is_missing(MODULES[name]):
        return f"the package {PACKAGES[name]} is not installed where the run would start."
    return _unsloth(method, config) if name == "unsloth" else None


def _unsloth(method: str, config: Config) -> str | None:
    adapter = adapter_of(method, vars(config))
    obstacles = {
        "it is for adapters, and every weight is trained.": adapter == "none",
        "it knows one GPU, and several are asked for.": config.num_gpus > 1,
        "it brings its own attention, which sees over the borders of packed rows.": getattr(config, "packing", False),
        "it starts adapters in its own way: set init_lora_weights to default.": config.init_lora_weights != "default",
        "it has no DoRA: turn use_dora off.": config.use_dora,
        "it compiles in its own way: turn torch_compile off.": config.torch_compile,
    }
    return next((words for words, true in obstacles.items() if true), None)


def choose(attempt: Attempt, device: str) -> Choice:
    """As asked; with auto the first that suits. Says it in the log. bad_spec when the one asked for can't be used."""
    wanted, method, config = attempt.config.kernels, attempt.spec.method, attempt.config
    if wanted == "none":
        return Choice()
    names = list(MODULES) if wanted == "auto" else [wanted]
    refused: dict[str, str] = {}
    for name in names:
        reason = why_not(name, method, config, device) or (_unknown_to_liger(attempt) if name == "liger" else None)
        if reason is None:
            return _said(attempt, Choice(name, refused))
        if wanted != "auto":
            raise bad_spec("kernels", reason)
        refused[name] = reason
    return _said(attempt, Choice("none", refused))


def _said(attempt: Attempt, choice: Choice) -> Choice:
    attempt.log(choice.words())
    return choice


def _unknown_to_liger(attempt: Attempt) -> str | None:
    from transformers import AutoConfig

    family = AutoConfig.from_pretrained(attempt.model_path).get_text_config().model_type
    known = importlib.import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    return None if family in known else f"it doesn't know models of the family {family}."


def apply_liger(model: Any) -> None:
    """Put liger's layers into a loaded model. Its losses stay out: they would replace the forward that TRL patches."""
    patch = importlib.import_module("liger_kernel.transformers.monkey_patch")
    family = model.config.get_text_config().model_type
    offered = inspect.signature(patch.MODEL_TYPE_TO_APPLY_LIGER_FN[family]).parameters
    without = {name: False for name in ("cross_entropy", "fused_linear_cross_entropy") if name in offered}
    patch._apply_liger_kernel_to_instance(model=model, **without)


def load_unsloth(path: Path, *, half: bool, length: int, four_bit: bool) -> Any:
    """The base as unsloth loads it. The adapter on it is PEFT's own, so that what is saved is what everybody saves."""
    import torch

    loader = importlib.import_module("unsloth").FastLanguageModel
    dtype = torch.bfloat16 if half else torch.float16
    model, _ = loader.from_pretrained(model_name=str(path), max_seq_length=length, dtype=dtype, load_in_4bit=four_bit)
    return model
