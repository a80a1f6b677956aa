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
    """Let the model's family rotate so, if it does what most do. Returns how to undo it, or None."""
    modelling = sys.modules[type(base).__module__]
    found = getattr(modelling, NAME, None)
    theirs = getattr(found, "theirs", found)  # an earlier model of this process may have had ours already
    if theirs is None or not _answers(theirs):
        return None

    @functools.wraps(theirs)
    def rotated(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1, **kwargs: Any) -> Any:
        if kwargs or not q.is_cpu or cos.shape[-1] != q.shape[-1]:
            return theirs(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim, **kwargs)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return Rotate.apply(q, cos, sin), Rotate.apply(k, cos, sin)

    rotated.theirs = theirs  # type: ignore[attr-defined]
    setattr(modelling, NAME, rotated)
    return functools.partial(setattr, modelling, NAME, theirs)


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
