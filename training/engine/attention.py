"""Attention that stays inside each sequence of a flattened batch: no padding is computed, no other row is seen.

Registered with transformers under NAME; the collator's `cu_seq_lens_q` (int32, 0 = s₀ < s₁ < … = tokens) tells where the
sequences begin. `prefixes` may name for each sequence another part of the batch that precedes it, as (start, length): two
answers then share the prompt they begin with. Without `cu_seq_lens_q` (evaluation of single rows, generation) it is transformers' own SDPA attention.
"""

from __future__ import annotations

import itertools
from typing import Any

NAME = "aift_varlen"


def register() -> None:
    """Make NAME known to transformers; registering again changes nothing. A compiler leaves it as it is: every batch has other
    boundaries, and it would compile for each.
    """
    from torch.compiler import disable
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, disable(attend))
    AttentionMaskInterface.register(NAME, make_mask)


def make_mask(batch_size: int, q_length: int, kv_length: int, attention_mask: Any = None, **kwargs: Any) -> Any:
    """None for a flattened batch, whose boundaries `attend` keeps itself; SDPA's mask for everything else."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and batch_size == 1 and q_length == kv_length:
        return None
    return sdpa_mask(batch_size, q_length, kv_length, attention_mask=attention_mask, **kwargs)


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, dropout: float = 0.0, scaling: float | None = None,
    cu_seq_lens_q: Any = None, max_length_q: int | None = None, prefixes: Any = None, **kwargs: Any,
) -> tuple[Any, None]:  # fmt: skip
    """Causal attention. In: query [1, heads, tokens, width], key and value with as many heads or fewer (GQA).

    Out: [1, tokens, heads, width], as transformers' attention functions return it.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if cu_seq_lens_q is None or attention_mask is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    bounds = cu_seq_lens_q.tolist()
    prefixes = prefixes or [(0, 0)] * (len(bounds) - 1)
    if query.is_cuda and dropout == 0.0 and query.element_size() == 2:
        return _flash(query, key, value, cu_seq_lens_q, max_length_q, prefixes, scaling), None
    if query.is_cpu and dropout == 0.0:
        return _products(query, key, value, bounds, prefixes, scaling), None
    return _each(query, key, value, bounds, prefixes, dropout, scaling), None


def _products(query: Any, key: Any, value: Any, bounds: list[int], prefixes: Any, scaling: float | None) -> Any:
    """By plain matrix products, which a CPU does quicker than SDPA's kernel."""
    from .fused.attention import CausalAttention
    from .fused.precision import compute_dtype

    dtype = compute_dtype(query)
    return CausalAttention.apply(query.to(dtype), key.to(dtype), value.to(dtype), bounds, prefixes, scaling)


def _each(query: Any, key: Any, value: Any, bounds: list[int], prefixes: Any, dropout: float, scaling: float | None) -> Any:
    """One SDPA a sequence, for weights that are dropped at random and for GPUs in full precision."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    parts = []
    for (start, end), (before, length) in zip(itertools.pairwise(bounds), prefixes, strict=True):
        keys, values, seen = key[:, :, start:end], value[:, :, start:end], None
        if length:
            keys = torch.cat([key[:, :, before : before + length], keys], dim=2)
            values = torch.cat([value[:, :, before : before + length], values], dim=2)
            seen = torch.ones(end - start, length + end - start, dtype=torch.bool, device=query.device).tril(length)
        part = scaled_dot_product_attention(
            query[:, :, start:end], keys, values, attn_mask=seen,
            dropout_p=dropout, is_causal=seen is None, scale=scaling, enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
        parts.append(part.transpose(1, 2))
    return torch.cat(parts, dim=1)


def _flash(query: Any, key: Any, value: Any, bounds: Any, longest: int | None, prefixes: Any, scaling: float | None) -> Any:
    """All sequences in one call of torch's flash attention, on GPUs in half precision."""
    from torch.nn.attention.varlen import varlen_attn

    longest = longest or int(bounds.diff().max())
    query, key, value = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
    shared = query.shape[1] != key.shape[1]
    options = {"scale": scaling, "window_size": (-1, 0), "enable_gqa": shared}
    of_keys, longest_keys = bounds, longest
    if any(length for _, length in prefixes):
        order, of_keys, longest_keys = _with_prefixes(bounds, prefixes)
        key, value = key[order], value[order]
    joined: Any = varlen_attn(query, key, value, bounds, of_keys, longest, longest_keys, **options)
    return joined.unsqueeze(0)


def _with_prefixes(bounds: Any, prefixes: Any) -> tuple[Any, Any, int]:
    """(Which tokens each sequence sees, one sequence after the other; where each one's begin; the most of one)."""
    import torch

    seen = [
        [*range(before, before + length), *range(start, end)]
        for (start, end), (before, length) in zip(itertools.pairwise(bounds.tolist()), prefixes, strict=True)
    ]
    ends = list(itertools.accumulate(map(len, seen), initial=0))
    order = torch.tensor([index for part in seen for index in part], device=bounds.device)
    return order, torch.tensor(ends, dtype=bounds.dtype, device=bounds.device), max(map(len, seen))
