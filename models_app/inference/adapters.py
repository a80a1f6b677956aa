"""Adapters on a base in memory: put on once, then switched without loading anything."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Loaded:
    """A base model in memory, the adapters on it and the tokenizers of what uses it. `users` are generating with it now."""

    base: Any  # the causal language model itself; adapters are put into its modules
    device: str
    bytes: int
    wrapped: Any = None  # the base as PEFT sees it, once an adapter has been put on
    adapters: dict[str, str] = field(default_factory=dict)  # directory stamp → adapter name
    tokenizers: dict[str, Any] = field(default_factory=dict)
    selected: str | None = None
    users: int = 0
    used_at: float = 0.0


def select_adapter(entry: Loaded, adapter: str | None) -> None:
    """Exactly this adapter (or none) takes part from now on; it is read at its first use."""
    stamp = stamp_of(adapter) if adapter else None
    if stamp == entry.selected:
        return
    entry.selected = None
    if stamp is None or adapter is None:
        entry.wrapped.base_model.disable_adapter_layers()
        return
    if stamp not in entry.adapters:
        entry.adapters[stamp] = _attach(entry, adapter)
        entry.bytes += weight_bytes(Path(adapter))
    entry.wrapped.base_model.enable_adapter_layers()
    entry.wrapped.set_adapter(entry.adapters[stamp])
    entry.wrapped.eval()
    entry.selected = stamp


def _attach(entry: Loaded, adapter: str) -> str:
    from peft import PeftModel

    name = f"adapter-{len(entry.adapters)}"
    if entry.wrapped is None:
        entry.wrapped = PeftModel.from_pretrained(entry.base, adapter, adapter_name=name, is_trainable=False)
    else:
        entry.wrapped.load_adapter(adapter, adapter_name=name, is_trainable=False)
    return name


def owns_base(adapter: str) -> bool:
    """Whether the adapter replaces whole modules of its base, so that it can't share the base with others."""
    config = json.loads((Path(adapter) / "adapter_config.json").read_text())
    return bool(config.get("modules_to_save") or config.get("trainable_token_indices"))


def tokenizer_of(entry: Loaded, base: str, adapter: str | None) -> Any:
    """The adapter's own tokenizer where it brought one (training may have set the chat template), else the base's."""
    from transformers import AutoTokenizer

    own = adapter and (Path(adapter) / "tokenizer_config.json").exists()
    directory = adapter if own and adapter else base
    stamp = stamp_of(directory)
    if stamp not in entry.tokenizers:
        entry.tokenizers[stamp] = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return entry.tokenizers[stamp]


def stamp_of(directory: str) -> str:
    """The directory and when it came there: other weights under the same path are not taken for the loaded ones."""
    return f"{directory}@{Path(directory).stat().st_ctime_ns}"


def weight_bytes(directory: Path) -> int:
    """Bytes of the weights' files."""
    return sum(file.stat().st_size for file in directory.glob("*.safetensors"))
