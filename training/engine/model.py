"""The base model and its tokenizer, loaded the way the method and this device want them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import kernels
from .attempt import Attempt
from .failures import bad_model, bad_spec
from .spec import Config
from .templates import NO_TEMPLATE, written


@dataclass(frozen=True)
class Device:
    """Where the run computes and what it may use there."""

    kind: str  # cuda, mps or cpu
    name: str
    bf16: bool

    @property
    def is_accelerator(self) -> bool:
        return self.kind != "cpu"


def find_device() -> Device:
    """The best device torch sees."""
    import torch

    if torch.cuda.is_available():
        return Device("cuda", torch.cuda.get_device_name(), torch.cuda.is_bf16_supported())
    if torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", False)
    able = torch.cpu.get_capabilities()
    return Device("cpu", "CPU", any(able.get(name) for name in ("avx512_bf16", "amx_bf16")))


def uses_bf16(config: Config, device: Device) -> bool:
    """Whether to compute in bfloat16: as asked; else where the device has instructions for it.

    A CPU without them emulates it, many times slower than float32. bad_spec when a GPU is asked for what it can't.
    """
    if config.bf16 and device.kind == "cuda" and not device.bf16:
        raise bad_spec("bf16", f"{device.name} has no bfloat16; use fp16 or leave it open.")
    if config.fp16 and device.kind == "cpu":
        raise bad_spec("fp16", "needs a GPU; leave it off or use bf16.")
    if config.bf16 is None:
        return device.bf16 and not config.fp16
    return config.bf16


def uses_checkpointing(config: Config, device: Device) -> bool:
    """Whether to recompute activations: as asked; else on GPUs, whose memory is the scarce thing."""
    return device.is_accelerator if config.gradient_checkpointing is None else config.gradient_checkpointing


def load_tokenizer(attempt: Attempt) -> Any:
    """The model's tokenizer with a padding token and a chat template, however it comes."""
    from transformers import AutoTokenizer

    path = _directory(attempt)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except Exception as error:  # the libraries raise anything here, from KeyError to OSError
        raise bad_model(f"The model's tokenizer can't be loaded: {error}") from error
    name = attempt.config.chat_template
    if name != "model":
        tokenizer.chat_template = written(name, tokenizer)
        attempt.log(f"Conversations are written in the {name} layout, which is saved with the result.")
    if attempt.spec.data.kind != "text" and not tokenizer.chat_template:
        raise bad_spec("chat_template", NO_TEMPLATE)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise bad_model("The tokenizer has neither a padding nor an end-of-text token.", "Choose another model.")
    return tokenizer


def load_model(attempt: Attempt, *, half: bool, **options: Any) -> Any:
    """The base model; weights in bfloat16 with `half`, else float32. bad_model when the directory isn't one.

    `options` are passed on to transformers (see quantization.py).
    """
    import torch
    from transformers import AutoModelForCausalLM

    path = _directory(attempt)
    choice = kernels.choose(attempt, find_device().kind)
    try:
        if choice.name == "unsloth":
            return kernels.load_unsloth(
                path, half=half, length=attempt.config.max_length, four_bit="quantization_config" in options
            )
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16 if half else torch.float32, **options)
        if choice.name == "liger":
            kernels.apply_liger(model)
    except MemoryError:
        raise
    except Exception as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            raise
        raise bad_model(f"The model can't be loaded: {type(error).__name__}: {error}") from error
    model.config.use_cache = False
    return model


def context_length(model_path: Path) -> int | None:
    """How many tokens the model was built for, where its configuration says."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model_path).get_text_config()
    except Exception as error:
        raise bad_model(f"The model's configuration can't be read: {error}") from error
    return getattr(config, "max_position_embeddings", None)


def target_modules(model: Any, wanted: list[str]) -> str | list[str]:
    """PEFT's target_modules from the spec's; bad_spec names each unknown one and its nearest relatives."""
    if wanted == ["all-linear"]:
        return "all-linear"
    known = linear_names(model)
    head = _name_of(model, model.get_output_embeddings())
    for name in wanted:
        if name == head:
            raise bad_spec("lora_target_modules", f"{name} is the output head, which can't carry an adapter here.")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            raise bad_spec("lora_target_modules", f"This model has no {name!r}. {_suggest(near, known)}")
    return wanted


def linear_names(model: Any) -> list[str]:
    """Last names of the linear layers an adapter can sit on, such as q_proj."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    layers = (
        name for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head
    )
    return sorted({name.rpartition(".")[2] for name in layers})


def _name_of(model: Any, wanted: Any) -> str:
    return next((name.rpartition(".")[2] for name, module in model.named_modules() if wanted is not None and module is wanted), "")


def _suggest(near: list[str], known: list[str]) -> str:
    return f"Did you mean {', '.join(near)}?" if near else f"It has: {', '.join(known)}."


def _directory(attempt: Attempt) -> Path:
    path = attempt.model_path
    if not (path / "config.json").is_file():
        raise bad_model(
            f"{attempt.spec.model.name or 'The model'} has no config.json: the model's files are missing or incomplete."
        )
    return path
