"""A base model from its directory: on which device, in which numbers, and how many bytes that will take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .adapters import weight_bytes

# On the CPU, float32 is the quicker arithmetic, but above this many bytes of weights memory counts more.
CPU_FLOAT32_BYTES = 4_000_000_000
LONG_ANSWER = 4096  # tokens whose keys and values are allowed for beside the weights
OVERHEAD = 1.05
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}


def yield_the_processor() -> None:
    """Make OpenMP threads sleep while they wait. Spinning, they take turns with a training run on the same cores and both
    crawl. Works only before torch loads the OpenMP library, so it is the first thing a pool does."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def devices() -> list[str]:
    """Where a model could go: every GPU, else the processor."""
    import torch

    if torch.cuda.is_available():
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["mps" if torch.backends.mps.is_available() else "cpu"]


def load_base(directory: str, device: str) -> Any:
    """The causal language model of a directory in evaluation mode; safetensors only, no remote code."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if _widened(Path(directory), device) else "auto"
    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, local_files_only=True, use_safetensors=True)
    return model.to(device).eval()


def needed_bytes(directory: str, device: str) -> int:
    """What the model will take there: its weights in the numbers it computes with, and room for a long conversation."""
    config = _config(Path(directory))
    stored = BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch."), 4)
    width = 4 if _widened(Path(directory), device) else stored
    return int(weight_bytes(Path(directory)) * width / stored * OVERHEAD) + _cache_bytes(config, width)


def held_bytes(model: Any) -> int:
    """What a loaded model's weights take."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def empty_cache() -> None:
    """Give back what torch keeps for later."""
    import gc

    import torch

    gc.collect()  # PEFT's wrappers point to themselves
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _widened(directory: Path, device: str) -> bool:
    return device == "cpu" and weight_bytes(directory) <= CPU_FLOAT32_BYTES


def _config(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _cache_bytes(config: dict[str, Any], width: int) -> int:
    """Keys and values of a long answer; 0 for a config that does not tell."""
    text = config.get("text_config") or config
    try:
        heads = text["num_attention_heads"]
        head = text.get("head_dim") or text["hidden_size"] // heads
        tokens = min(LONG_ANSWER, text.get("max_position_embeddings") or LONG_ANSWER)
        return 2 * text["num_hidden_layers"] * (text.get("num_key_value_heads") or heads) * head * tokens * width
    except (KeyError, TypeError, ZeroDivisionError):
        return 0
