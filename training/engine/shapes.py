"""A model's shape: how many parameters it has in which parts, from config.json alone or from the safetensors headers.

No weight is read. The known families (families.py) are counted exactly; for any other one the headers list every tensor,
so the count is exact too, and only the parts' names are guessed.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .families import DEFAULTS, FAMILIES, KEYS, Family

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
FILE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E5M2": 1}


class ShapeError(ValueError):
    """The directory doesn't say what the model is made of."""


@dataclass(frozen=True)
class Linear:
    """`count` equal matrices of inputs × outputs. `active` is the share that one token passes through (mixtures of experts)."""

    name: str
    inputs: int
    outputs: int
    count: int
    part: str  # attention or mlp
    bias: bool = False
    active: float = 1.0

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.count

    @property
    def parameters(self) -> int:
        return self.weights + (self.outputs * self.count if self.bias else 0)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a causal language model is made of. Counts are parameters; `embedding` includes learned positions; `head` is 0 when tied."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    context: int | None
    gated: bool
    layer_norm: bool
    norms_per_layer: int
    qk_norm: str
    linears: tuple[Linear, ...]
    embedding: int
    head: int
    norms: int
    other: int = 0
    stored_bytes: float = 4.0  # bytes of one parameter in the files
    attention_dropout: bool = False
    window: int | None = None  # positions that the attention of some layers sees back to

    @property
    def attention(self) -> int:
        return sum(linear.parameters for linear in self.linears if linear.part == "attention")

    @property
    def mlp(self) -> int:
        return sum(linear.parameters for linear in self.linears if linear.part == "mlp")

    @property
    def parameters(self) -> int:
        return self.embedding + self.head + self.attention + self.mlp + self.norms + self.other

    @property
    def tied(self) -> bool:
        return self.head == 0

    @property
    def attention_width(self) -> int:
        """Values of one token over all query heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim

    def targets(self, wanted: list[str] | tuple[str, ...]) -> tuple[Linear, ...]:
        """The linear layers an adapter with these target modules sits on."""
        if list(wanted) == ["all-linear"]:
            return self.linears
        return tuple(linear for linear in self.linears if linear.name in wanted)

    def adapter_parameters(self, rank: int, wanted: list[str] | tuple[str, ...], *, dora: bool = False) -> int:
        """Trainable parameters of LoRA: A is rank × inputs, B is outputs × rank; DoRA adds a magnitude for every output."""
        return sum(
            linear.count * (rank * (linear.inputs + linear.outputs) + (linear.outputs if dora else 0))
            for linear in self.targets(wanted)
        )


def read_shape(directory: Path) -> Shape:
    """The shape of a model in Hugging Face layout. ShapeError when neither config.json nor the headers tell."""
    try:
        config = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise ShapeError(f"The model's config.json can't be read: {error}.") from error
    if not isinstance(config, dict):
        raise ShapeError("The model's config.json is not an object.")
    tensors = dict(_tensors(directory))
    stored = _stored_bytes(tensors) or _named_bytes(config)
    text = config.get("text_config") or config
    if text.get("model_type") in FAMILIES and text is config:
        return shape_from_config(config, stored_bytes=stored)
    if not tensors:
        raise ShapeError(
            f"The family {text.get('model_type')!r} is not known here and the model has no safetensors weights to measure."
        )
    return _shape_from_headers(text, tensors, stored)


def shape_from_config(config: dict[str, Any], *, stored_bytes: float = 4.0) -> Shape:
    """The shape of a known family (families.FAMILIES), exactly. ShapeError when a size is missing."""
    name = config["model_type"]
    family = FAMILIES[name]
    sizes = _sizes(config, family.head_dim)
    if not family.grouped:
        sizes["kv_heads"] = sizes["heads"]
    config = DEFAULTS.get(name, {}) | config
    hidden, vocab, layers = sizes["hidden"], sizes["vocab"], sizes["layers"]
    tied = config.get("tie_word_embeddings", family.tied)
    head = 0 if tied else vocab * hidden
    return Shape(
        family=name,
        **sizes,
        gated=family.gated,
        layer_norm=family.layer_norm,
        norms_per_layer=family.norms,
        qk_norm=family.qk_norm,
        linears=tuple(_linears(family, config, sizes)),
        embedding=vocab * hidden + (sizes["context"] * hidden if family.learned_positions else 0),
        head=head + (vocab if family.head_bias else 0),
        norms=_norms(family, sizes, layers),
        stored_bytes=stored_bytes,
        attention_dropout=_drops(config),
        window=_window(config),
    )


def _sizes(config: dict[str, Any], head_dim: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: next((config[key] for key in keys if config.get(key) is not None), None) for name, keys in KEYS.items()
    }
    missing = [KEYS[name][0] for name in ("hidden", "layers", "heads", "vocab") if not isinstance(found[name], int)]
    if missing:
        raise ShapeError(f"The model's config.json does not say {', '.join(missing)}.")
    found["kv_heads"] = found["kv_heads"] or found["heads"]
    found["head_dim"] = found["head_dim"] or head_dim or found["hidden"] // found["heads"]
    found["intermediate"] = found["intermediate"] or 4 * found["hidden"]
    return found


def _drops(config: dict[str, Any]) -> bool:
    return bool(config.get("attention_dropout") or config.get("attn_pdrop"))


def _window(config: dict[str, Any]) -> int | None:
    window = config.get("sliding_window")
    slides = "sliding_attention" in (config.get("layer_types") or []) or config.get("use_sliding_window", True)
    return window if window and slides else None


def _linears(family: Family, config: dict[str, Any], sizes: dict[str, Any]) -> Iterator[Linear]:
    hidden, layers, inner = sizes["hidden"], sizes["layers"], sizes["intermediate"]
    query, key = sizes["heads"] * sizes["head_dim"], sizes["kv_heads"] * sizes["head_dim"]
    *into, out = family.attention
    for name, width in zip(into, (query, key, key) if len(into) == 3 else (query + 2 * key,), strict=True):
        yield Linear(name, hidden, width, layers, "attention", _flag(config, family.qkv_bias))
    yield Linear(out, query, hidden, layers, "attention", _flag(config, family.out_bias))
    *up, down = family.mlp
    fused = family.gated and len(up) == 1
    for name in up:
        yield Linear(name, hidden, 2 * inner if fused else inner, layers, "mlp", _flag(config, family.mlp_bias))
    yield Linear(down, inner, hidden, layers, "mlp", _flag(config, family.mlp_bias))


def _flag(config: dict[str, Any], value: bool | str) -> bool:
    return bool(config.get(value, False)) if isinstance(value, str) else value


def _norms(family: Family, sizes: dict[str, Any], layers: int) -> int:
    over_hidden = sizes["hidden"] * (layers * family.norms + 1) * (2 if family.layer_norm else 1)
    over_heads = {
        "": 0,
        "head": 2 * sizes["head_dim"],
        "all": (sizes["heads"] + sizes["kv_heads"]) * sizes["head_dim"],
    }
    return over_hidden + layers * over_heads[family.qk_norm]


# --- From the safetensors headers ---------------------------------------------------------------------


def _shape_from_headers(config: dict[str, Any], tensors: dict[str, dict[str, Any]], stored: float) -> Shape:
    sizes, active = _sizes(config), _active(config)
    sums = {"embedding": 0, "head": 0, "norms": 0, "other": 0}
    linears: dict[tuple[str, int, int], Linear] = {}
    for name, tensor in tensors.items():
        part, size = _part(name, tensor["shape"]), math.prod(tensor["shape"])
        if part in sums:
            sums[part] += size
            continue
        outputs, inputs = tensor["shape"][-2:]
        key = (name.removesuffix(".weight").rpartition(".")[2], inputs, outputs)
        known = linears.get(key)
        count = math.prod(tensor["shape"][:-2]) + (known.count if known else 0)
        linears[key] = Linear(*key, count, part, active=active if "expert" in name else 1.0)
    return Shape(
        family=config.get("model_type") or "unknown",
        **sizes,
        gated=any("gate" in linear.name for linear in linears.values()),
        layer_norm=any(name.endswith("norm.bias") or ".ln_" in name for name in tensors),
        norms_per_layer=2,
        qk_norm="",
        linears=tuple(linears.values()),
        **sums,
        stored_bytes=stored,
        attention_dropout=_drops(config),
        window=_window(config),
    )


def _part(name: str, shape: list[int]) -> str:
    if any(word in name for word in ("embed", "wte", "wpe")):
        return "embedding"
    if "lm_head" in name or "embed_out" in name:
        return "head"
    if "norm" in name or ".ln_" in name:
        return "norms"
    if len(shape) < 2 or name.endswith(".bias") or "router" in name:
        return "other"
    return "attention" if any(word in name for word in ("attn", "attention")) else "mlp"


def _active(config: dict[str, Any]) -> float:
    """The share of the experts one token visits."""
    experts = config.get("num_local_experts") or config.get("num_experts") or config.get("n_routed_experts")
    return config.get("num_experts_per_tok", experts) / experts if experts else 1.0


def _tensors(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every tensor's name with its dtype and shape."""
    for path in sorted(directory.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > MAX_HEADER_BYTES:
                    raise ValueError("the header is too long")
                header = json.loads(file.read(length))
        except (OSError, ValueError, struct.error) as error:
            raise ShapeError(f"The model's {path.name} is not a safetensors file: {error}.") from error
        yield from ((name, tensor) for name, tensor in header.items() if name != "__metadata__")


def _stored_bytes(tensors: dict[str, dict[str, Any]]) -> float | None:
    counts = [(math.prod(tensor["shape"]), FILE_BYTES.get(tensor["dtype"], 4)) for tensor in tensors.values()]
    total = sum(count for count, _ in counts)
    return sum(count * size for count, size in counts) / total if total else None


def _named_bytes(config: dict[str, Any]) -> float:
    return 2.0 if config.get("dtype", config.get("torch_dtype")) in ("bfloat16", "float16") else 4.0
