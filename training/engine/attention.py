"""Attention that stays inside each sequence of a flattened batch: no padding is computed, no other row is seen.

Registered with transformers under NAME; the collator's `cu_seq_lens_q` (int32, 0 = s₀ < s₁ < … = tokens) tells where the
sequences begin. Without it (evaluation of single rows, generation) it is transformers' own SDPA attention.
"""

from __future__ import annotations

import itertools
from typing import Any

NAME = "aift_varlen"


def register() -> None:
    """Make NAME known to transformers; registering again changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, make_mask)


def make_mask(batch_size: int, q_length: int, kv_length: int, attention_mask: Any = None, **kwargs: Any) -> Any:
    """None for a flattened batch, whose boundaries `attend` keeps itself; SDPA's mask for everything else."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and batch_size == 1 and q_length == kv_length:
        return None
    return sdpa_mask(batch_size, q_length, kv_length, attention_mask=attention_mask, **kwargs)


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, dropout: float = 0.0, scaling: float | None = None,
    cu_seq_lens_q: Any = None, max_length_q: int | None = None, **kwargs: Any,
) -> tuple[Any, None]:  # fmt: skip
    """Causal attention. In: query [1, heads, tokens, width], key and value with as many heads or fewer (GQA).

    Out: [1, tokens, heads, width], as transformers' attention functions return it.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if cu_seq_lens_q is None or attention_mask is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if query.is_cuda and dropout == 0.0 and query.element_size() == 2:
        return _flash(query, key, value, cu_seq_lens_q, max_length_q, scaling), None
    return _each(query, key, value, cu_seq_lens_q.tolist(), dropout, scaling), None


def _each(query: Any, key: Any, value: Any, bounds: list[int], dropout: float, scaling: float | None) -> Any:
    """One SDPA a sequence: on a CPU a third of the padded batch's time, with nothing of size length² kept for backward."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    shared = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=shared,
        ).transpose(1, 2)
        for start, end in itertools.pairwise(bounds)
    ]  # fmt: skip
    return torch.cat(parts, dim=1)


def _flash(query: Any, key: Any, value: Any, bounds: Any, longest: int | None, scaling: float | None) -> Any:
    """All sequences in one call of torch's flash attention, on GPUs in half precision."""
    from torch.nn.attention.varlen import varlen_attn

    longest = longest or int(bounds.diff().max())
    query, key, value = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
    shared = query.shape[1] != key.shape[1]
    options = {"scale": scaling, "window_size": (-1, 0), "enable_gqa": shared}
    joined: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, **options)
    return joined.unsqueeze(0)
