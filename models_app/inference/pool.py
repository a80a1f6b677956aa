"""Models kept warm in memory. Adapters of one base share its weights; the least recently used base leaves first."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .types import CannotGenerate, Weights

# On the CPU, float32 is the quicker arithmetic, but above this many bytes of weights memory counts more.
CPU_FLOAT32_BYTES = 4_000_000_000


@dataclass
class Loaded:
    """A base model in memory (wrapped by PEFT once an adapter has been put on) and the tokenizers of what uses it."""

    model: Any
    adapters: dict[str, str] = field(default_factory=dict)  # directory stamp → adapter name
    tokenizers: dict[str, Any] = field(default_factory=dict)


class ModelPool:
    """Loads on first use. Not thread-safe: the caller generates one answer at a time."""

    def __init__(self, capacity: int = 2):
        yield_the_processor()
        self.capacity = capacity
        self._loaded: OrderedDict[tuple[str, str], Loaded] = OrderedDict()

    def get(self, weights: Weights) -> tuple[Any, Any]:
        """(model, tokenizer) ready to generate with exactly these weights. CannotGenerate when they can't be loaded."""
        try:
            return self._get_with_room(weights)
        except Exception as error:  # the libraries raise what they like; every one of them means the same here
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise CannotGenerate(f"The model could not be loaded: {reason}") from error

    def clear(self) -> None:
        """Give the memory back."""
        self._loaded.clear()
        _empty_cache()

    def _get_with_room(self, weights: Weights) -> tuple[Any, Any]:
        """Give up the other models' memory when this one does not fit beside them."""
        try:
            return self._get(weights)
        except (RuntimeError, MemoryError) as error:
            if not self._loaded or "memory" not in f"{type(error).__name__} {error}".lower():
                raise
        self.clear()
        return self._get(weights)

    def _get(self, weights: Weights) -> tuple[Any, Any]:
        key = (_stamp(weights.base), _stamp(weights.adapter) if weights.adapter and _owns_base(weights.adapter) else "")
        if key not in self._loaded:
            while len(self._loaded) >= self.capacity:
                self._loaded.popitem(last=False)
            _empty_cache()
            self._loaded[key] = Loaded(load_base(weights.base))
        self._loaded.move_to_end(key)
        entry = self._loaded[key]
        _select_adapter(entry, weights.adapter)
        return entry.model, _tokenizer(entry, weights)


def yield_the_processor() -> None:
    """Make OpenMP threads sleep while they wait. Spinning, they take turns with a training run on the same cores and both
    crawl. Works only before torch loads the OpenMP library, so it is the first thing a pool does."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def load_base(directory: str) -> Any:
    """The causal language model of a directory in evaluation mode, on the best device; safetensors only, no remote code."""
    import torch
    from transformers import AutoModelForCausalLM

    device = _device()
    small = sum(file.stat().st_size for file in Path(directory).glob("*.safetensors")) <= CPU_FLOAT32_BYTES
    dtype = torch.float32 if device == "cpu" and small else "auto"
    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, local_files_only=True, use_safetensors=True)
    return model.to(device).eval()


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _select_adapter(entry: Loaded, adapter: str | None) -> None:
    """Switch the base's adapters so that exactly this one (or none) takes part."""
    if adapter is None:
        if entry.adapters:
            entry.model.base_model.disable_adapter_layers()
        return
    stamp = _stamp(adapter)
    if stamp not in entry.adapters:
        entry.adapters[stamp] = _attach(entry, adapter)
    entry.model.base_model.enable_adapter_layers()
    entry.model.set_adapter(entry.adapters[stamp])
    entry.model.eval()


def _attach(entry: Loaded, adapter: str) -> str:
    from peft import PeftModel

    name = f"adapter-{len(entry.adapters)}"
    if entry.adapters:
        entry.model.load_adapter(adapter, adapter_name=name, is_trainable=False)
    else:
        entry.model = PeftModel.from_pretrained(entry.model, adapter, adapter_name=name, is_trainable=False)
    return name


def _owns_base(adapter: str) -> bool:
    """Whether the adapter replaces whole modules of its base, so that it can't share the base with others."""
    config = json.loads((Path(adapter) / "adapter_config.json").read_text())
    return bool(config.get("modules_to_save") or config.get("trainable_token_indices"))


def _tokenizer(entry: Loaded, weights: Weights) -> Any:
    """The adapter's own tokenizer where it brought one (training may have set the chat template), else the base's."""
    from transformers import AutoTokenizer

    own = weights.adapter and (Path(weights.adapter) / "tokenizer_config.json").exists()
    directory = weights.adapter if own and weights.adapter else weights.base
    stamp = _stamp(directory)
    if stamp not in entry.tokenizers:
        entry.tokenizers[stamp] = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return entry.tokenizers[stamp]


def _stamp(directory: str) -> str:
    """The directory and when it came there: other weights under the same path are not taken for the loaded ones."""
    return f"{directory}@{Path(directory).stat().st_ctime_ns}"


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
