"""How an adapter can be merged, told from its files alone: piece by piece or not, and the memory that takes. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .tensorfiles import all_tensors

PROGRAM_BYTES = 700 * 1000**2  # torch, transformers and PEFT in a process of their own
COPIES = 4  # a matrix that is changed, in float32: as it was, what is added, the sum, and the sum as it is written
NEEDS_WHOLE = ("modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication", "alora_invocation_tokens")


def is_plain(config: dict[str, Any]) -> bool:
    """Whether an adapter_config.json describes LoRA that adds to the untouched weights of linear layers and to nothing else."""
    init = config.get("init_lora_weights", True)
    targets = config.get("target_modules") or ()
    names = [targets] if isinstance(targets, str) else targets
    return (
        config.get("peft_type") == "LORA"
        and (isinstance(init, bool) or init in ("gaussian", "orthogonal"))
        and not any("embed" in str(name) or "lm_head" in str(name) for name in names)
        and config.get("bias", "none") == "none"
        and not config.get("lora_bias")
        and not any(config.get(name) for name in NEEDS_WHOLE)
    )


def adapter_config(adapter: Path) -> dict[str, Any]:
    """The adapter's configuration; empty where it can't be read."""
    try:
        found = json.loads((adapter / "adapter_config.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def merge_memory(base: Path, adapter: Path) -> int:
    """Bytes that merging takes at its peak, about: the adapter and the largest matrix that is changed, or the whole base where the
    adapter is not plain. BadWeights and OSError when the base's files can't be read."""
    sizes = {name: tensor for name, tensor in all_tensors(base).items() if len(tensor.shape) == 2}
    if not is_plain(adapter_config(adapter)):
        return PROGRAM_BYTES + int(1.25 * sum(tensor.bytes for tensor in sizes.values()))
    words = json.loads((base / "config.json").read_text()).get("vocab_size")  # rows of the embedding, which stays as it is
    largest = max((tensor.elements for tensor in sizes.values() if tensor.shape[0] != words), default=0)
    weights = sum(file.stat().st_size for file in adapter.glob("*.safetensors"))
    return PROGRAM_BYTES + 2 * weights + COPIES * 4 * largest
