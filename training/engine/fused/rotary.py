"""Rotary position embedding into one buffer, where transformers fills five."""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch

NAME = "apply_rotary_pos_emb"  # of the function in transformers' modelling files


class Rotate(torch.autograd.Function):
    """part·cos + rotate_half(part)·sin. In: part [..., D], cos and sin [..., D], broadcastable. Keeps nothing of `part`."""

    @staticmethod
    def forward(ctx: Any, part: Any, cos: Any, sin: Any) -> Any:
        ctx.save_for_backward(cos, sin)
        half = part.shape[-1] // 2
        return _turned(part, cos, -sin[..., :half], sin[..., half:])

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, None, None]:
        cos, sin = ctx.saved_tensors
        half = sin.shape[-1] // 2
        return _turned(gradient, cos, sin[..., half:], -sin[..., :half]), None, None


def _turned(part: Any, cos: Any, upper: Any, lower: Any) -> Any:
    """part·cos, to whose first half the second comes `upper` times and the other way round `lower` times."""
    half = part.shape[-1] // 2
    found = part * cos
    found[..., :half].addcmul_(part[..., half:], upper)
    found[..., half:].addcmul_(part[..., :half], lower)
    return found


def install(base: Any) -> Any:
    """Let this model rotate so, if its family does what most do. Returns how to undo it, or None.

    The function belongs to the family's modelling file; ours there turns the angles of this model only, and leaves others to theirs.
    """
    modelling = sys.modules[type(base).__module__]
    theirs = getattr(modelling, NAME, None)
    angles = [module for module in base.modules() if type(module).__name__.endswith("RotaryEmbedding")]
    if theirs is None or not angles or not _answers(getattr(theirs, "theirs", theirs)):
        return None
    hooks = [module.register_forward_hook(_mark) for module in angles]
    if not hasattr(theirs, "theirs"):
        setattr(modelling, NAME, _ours_or(theirs))
    return lambda: [hook.remove() for hook in hooks]


def _mark(module: Any, inputs: Any, output: Any) -> None:
    """These angles are to be turned by ours."""
    if isinstance(output, tuple):
        output[0].turned_by_us = True


def _ours_or(theirs: Any) -> Any:
    keeps = _keeps_dtype(theirs)

    @functools.wraps(theirs)
    def rotated(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1, **kwargs: Any) -> Any:
        if kwargs or not getattr(cos, "turned_by_us", False) or cos.shape[-1] != q.shape[-1]:
            return theirs(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim, **kwargs)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        turned = Rotate.apply(q, cos, sin), Rotate.apply(k, cos, sin)
        return (turned[0].to(q.dtype), turned[1].to(k.dtype)) if keeps else turned

    rotated.theirs = theirs  # type: ignore[attr-defined]
    return rotated


def _answers(theirs: Any) -> bool:
    """Whether the function gives the same as ours for arbitrary numbers (its halves need not even turn alike)."""
    q, k, cos, sin = (torch.linspace(-2, 3, 48).mul(number).sin().view(2, 3, 8) for number in (1, 2, 3, 4))
    try:
        found = theirs(q[:, None], k[:, None], cos, sin)
    except (TypeError, RuntimeError, ValueError):
        return False
    return all(
        torch.allclose(one, Rotate.apply(part[:, None], cos[:, None], sin[:, None]), atol=1e-5)
        for one, part in zip(found, (q, k), strict=True)
    )


def _keeps_dtype(theirs: Any) -> bool:
    """Whether what is turned keeps its precision when the angles have another."""
    part, angle = torch.ones(1, 1, 1, 8, dtype=torch.bfloat16), torch.ones(1, 1, 8)
    return bool(theirs(part, part, angle, angle)[0].dtype == part.dtype)
