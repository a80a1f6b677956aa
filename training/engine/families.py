"""How the model families we know are built: the names, biases and norms that their config.json leaves unsaid.

Read from transformers' modelling code (v5); tests/engine/test_shapes.py holds every one against the real model.
A family that is missing here is measured from its safetensors headers instead (shapes.py).
"""

from __future__ import annotations

from dataclasses import dataclass

# The same quantity has other names in other families; the first that is there counts.
KEYS = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "kv_heads": ("num_key_value_heads",),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"),
    "head_dim": ("head_dim",),
}


@dataclass(frozen=True)
class Family:
    """One architecture. A bias is yes, no, or the config key that says so.

    `attention`: the names of q, k, v and output, or of one fused projection and the output.
    `mlp`: gate, up, down; or (fused gate and up) and down when `gated`; or up and down.
    `norms`: norms of a layer over the hidden size; `qk_norm`: further ones over a head, over all heads, or none.
    """

    attention: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    mlp: tuple[str, ...] = ("gate_proj", "up_proj", "down_proj")
    gated: bool = True
    norms: int = 2
    layer_norm: bool = False  # LayerNorm, which has a bias, instead of RMSNorm
    qk_norm: str = ""
    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    head_bias: bool = False
    tied: bool = False
    head_dim: int | None = None
    learned_positions: bool = False
    grouped: bool = True  # several query heads may share one of key and value


LLAMA = Family(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias")
GEMMA = Family(qkv_bias="attention_bias", out_bias="attention_bias", tied=True, head_dim=256)

FAMILIES: dict[str, Family] = {
    "llama": LLAMA,
    "smollm3": Family(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias", tied=True),
    "mistral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="head", head_dim=128),
    "olmo2": Family(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="all"),
    "gemma": GEMMA,
    "gemma2": Family(qkv_bias="attention_bias", out_bias="attention_bias", tied=True, head_dim=256, norms=4),
    "gemma3_text": Family(
        qkv_bias="attention_bias", out_bias="attention_bias", tied=True, head_dim=256, norms=4, qk_norm="head"
    ),
    "phi": Family(
        attention=("q_proj", "k_proj", "v_proj", "dense"), mlp=("fc1", "fc2"), gated=False, norms=1, layer_norm=True,
        qkv_bias=True, out_bias=True, mlp_bias=True, head_bias=True,
    ),
    "phi3": Family(attention=("qkv_proj", "o_proj"), mlp=("gate_up_proj", "down_proj")),
    "gpt2": Family(
        attention=("c_attn", "c_proj"), mlp=("c_fc", "c_proj"), gated=False, layer_norm=True, qkv_bias=True, out_bias=True,
        mlp_bias=True, tied=True, learned_positions=True, grouped=False,
    ),
    "gpt_neox": Family(
        attention=("query_key_value", "dense"), mlp=("dense_h_to_4h", "dense_4h_to_h"), gated=False, layer_norm=True,
        qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias=True, grouped=False,
    ),
}  # fmt: skip
# Where config.json may leave a bias key out although the class says yes.
DEFAULTS: dict[str, dict[str, bool]] = {"gpt_neox": {"attention_bias": True}}
