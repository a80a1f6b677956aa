"""What a model directory says about itself: read from config.json and the safetensors headers, without torch."""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.core import hub, storage
from finetune.core.errors import Invalid

# A header lists every tensor; the format's own limit is 100 MB.
MAX_HEADER_BYTES = 100_000_000
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "U8": "uint8"}
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(frozen=True)
class Facts:
    """`parameters` counts what the files hold (an adapter's own for an adapter); `context_length` is in tokens."""

    parameters: int
    architecture: str
    dtype: str
    bytes: int
    license: str
    context_length: int | None
    adapter: bool


def inspect_model(directory: Path) -> Facts:
    """Facts of a model or adapter in Hugging Face layout. Invalid when files are missing or broken."""
    adapter = (directory / "adapter_config.json").exists()
    config = {} if adapter else _json(directory / "config.json")
    weights = [directory / "adapter_model.safetensors"] if adapter else hub.weight_files(directory)
    if not weights:
        raise Invalid("The model has no complete safetensors weights.", code="bad_model")
    counts = _count(weights)
    return Facts(
        parameters=sum(counts.values()),
        architecture=next(iter(config.get("architectures") or []), ""),
        dtype=DTYPES.get(counts.most_common(1)[0][0], counts.most_common(1)[0][0].lower()) if counts else "",
        bytes=storage.tree_bytes(directory),
        license=_license(directory / "README.md"),
        context_length=context_length(config),
        adapter=adapter,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        raise Invalid(f"The model's {path.name} is missing or not JSON.", code="bad_model") from None
    if not isinstance(value, dict):
        raise Invalid(f"The model's {path.name} is not an object.", code="bad_model")
    return value


def _count(weights: list[Path]) -> Counter[str]:
    """Parameters by safetensors dtype."""
    counts: Counter[str] = Counter()
    for path in weights:
        for name, tensor in _header(path).items():
            if name != "__metadata__":
                counts[tensor["dtype"]] += math.prod(tensor["shape"])
    return counts


def _header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file: 8 bytes of length (little-endian), then the tensors' names, dtypes and shapes."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError
            raw = file.read(length)
        header = json.loads(raw)
        if len(raw) < length or not isinstance(header, dict):
            raise ValueError
        return header
    except (OSError, ValueError, struct.error):
        raise Invalid(f"The model's {path.name} is missing or not a safetensors file.", code="bad_model") from None


def context_length(config: dict[str, Any]) -> int | None:
    """Tokens the model reads at most, by any of the names config.json has for that."""
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        for key in CONTEXT_KEYS:
            if isinstance(part.get(key), int):
                return part[key]
    return None


def _license(card: Path) -> str:
    """The `license:` line of a model card's front matter."""
    try:
        text = card.read_text(errors="replace")
    except OSError:
        return ""
    front = re.match(r"\A---\n(.*?)\n---", text, re.DOTALL)
    line = re.search(r"^license:\s*['\"]?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return line[1][:100] if line else ""
