"""How each family's config.json and weights are said in GGUF.

Keys and meaning follow llama.cpp's loader; every family here is held against transformers token by token
(tests/models_app/test_gguf_tokens.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class CannotConvert(Exception):
    """This model has no place in a GGUF file that we write; the text says why."""


@dataclass(frozen=True)
class Family:
    """`arch` is llama.cpp's name. `permuted`: query and key rows in llama.cpp's order of rotary pairs; `shifted`: norms are kept as w − 1."""

    arch: str
    permuted: bool = False
    shifted: bool = False
    more: Callable[[Any, dict[str, Any]], None] | None = None  # writes what only this family has


def _gemma2(writer: Any, config: dict[str, Any]) -> None:
    writer.add_attn_logit_softcapping(config.get("attn_logit_softcapping") or 50.0)
    writer.add_final_logit_softcapping(config.get("final_logit_softcapping") or 30.0)
    writer.add_sliding_window(config["sliding_window"])
    _refuse_scale(config, largest=46)


def _gemma3(writer: Any, config: dict[str, Any]) -> None:
    if config.get("attn_logit_softcapping") or config.get("final_logit_softcapping"):
        raise CannotConvert("this Gemma 3 caps its logits, which llama.cpp does not do for this family")
    writer.add_sliding_window(config["sliding_window"])
    _refuse_scale(config, largest=62)


def _refuse_scale(config: dict[str, Any], *, largest: int) -> None:
    """llama.cpp divides by the root of the head size, in the largest model of the family by that of width over heads."""
    heads = config["hidden_size"] / config["num_attention_heads"]
    known = heads if config["num_hidden_layers"] == largest else head_size(config)
    if config.get("query_pre_attn_scalar", known) != known:
        raise CannotConvert("its attention is scaled by another number than llama.cpp takes for this family")


def _phi3(writer: Any, config: dict[str, Any]) -> None:
    writer.add_sliding_window(config.get("sliding_window") or 0)
    writer.add_rope_scaling_orig_ctx_len(config.get("original_max_position_embeddings") or config["max_position_embeddings"])


LLAMA = Family("llama", permuted=True)
FAMILIES = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "Qwen2ForCausalLM": Family("qwen2"),
    "Qwen3ForCausalLM": Family("qwen3"),
    "Gemma2ForCausalLM": Family("gemma2", shifted=True, more=_gemma2),
    "Gemma3ForCausalLM": Family("gemma3", shifted=True, more=_gemma3),
    "Phi3ForCausalLM": Family("phi3", more=_phi3),
}


def family_of(config: dict[str, Any]) -> Family:
    """CannotConvert, with the architecture's name, for one that is not in the table, or not for its whole configuration."""
    name = next(iter(config.get("architectures") or []), "(unnamed)")
    if name not in FAMILIES:
        known = ", ".join(sorted(known.removesuffix("ForCausalLM") for known in FAMILIES))
        raise CannotConvert(f"{name} can't be written as GGUF here; these families can: {known}")
    if config.get("quantization_config"):
        raise CannotConvert("its weights are quantised already; start from a 16-bit or 32-bit model")
    return FAMILIES[name]


def head_size(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def add_numbers(writer: Any, family: Family, config: dict[str, Any]) -> None:
    """The hyper-parameters; `config` is transformers' own reading of config.json, with nothing left unsaid."""
    size, heads = head_size(config), config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _add_rotation(writer, family, config, size)
    if family.more:
        family.more(writer, config)


def rotation(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary parameters of the layers that look at everything."""
    found = config.get("rope_parameters") or {}
    return found.get("full_attention", found)


def _add_rotation(writer: Any, family: Family, config: dict[str, Any], size: int) -> None:
    rope = rotation(config)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0))
    writer.add_rope_dimension_count(int(size * (rope.get("partial_rotary_factor") or 1.0)))
    kind = rope.get("rope_type", "default")
    if kind in ("default", "llama3"):  # llama3's are written as a tensor of factors
        return
    if kind not in ("linear", "yarn"):
        raise CannotConvert(f"its rotary scaling “{kind}” is not written here")
    import gguf

    writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
    writer.add_rope_scaling_factor(float(rope["factor"]))
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope.get("original_max_position_embeddings") or config["max_position_embeddings"])


def llama3_factors(config: dict[str, Any]) -> list[float] | None:
    """Llama 3.1's divisors of the rotary frequencies, one for each pair (transformers' _compute_llama3_parameters); None for others."""
    rope = rotation(config)
    if rope.get("rope_type") != "llama3":
        return None
    size, context = head_size(config), rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]

    def factor(pair: int) -> float:
        length = 2 * math.pi * rope["rope_theta"] ** (2 * pair / size)
        if length < context / high:
            return 1.0
        if length > context / low:
            return float(rope["factor"])
        smooth = (context / length - low) / (high - low)
        return 1 / ((1 - smooth) / rope["factor"] + smooth)

    return [factor(pair) for pair in range(size // 2)]
