"""RMSNorm that keeps its input and one number a row, where transformers keeps two float32 copies of the input."""

from __future__ import annotations

import types
from typing import Any

import torch


class RmsNorm(torch.autograd.Function):
    """x / rms(x) · weight, in float32 and rounded where transformers rounds.

    In: x [..., H], weight [H], eps, and whether the weight is kept as a difference from 1 (Gemma); then its product is
    taken before rounding, else after.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, eps: float, from_one: bool) -> Any:
        wide = x.float()
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        ctx.from_one = from_one
        normed = wide * scale
        return (normed * (1.0 + weight.float())).to(x.dtype) if from_one else weight * normed.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        x, weight, scale = ctx.saved_tensors
        normed, slope = x.float() * scale, gradient.float()
        into_weight = (slope * normed).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        into_x = None
        if ctx.needs_input_grad[0]:
            slope = slope * (1.0 + weight.float() if ctx.from_one else weight.float())
            along = torch.linalg.vecdot(slope, normed).div_(-x.shape[-1]).unsqueeze(-1)
            into_x = slope.addcmul_(normed, along).mul_(scale).to(x.dtype)
        return into_x, into_weight, None, None


def install(model: Any) -> list[Any]:
    """Let every RMSNorm of the model compute so. Which modules are one is seen by what they answer. Returns them."""
    found = [module for module in model.modules() if type(module).__name__.endswith("RMSNorm")]
    return [module for module in found if _takes_over(module)]


def _takes_over(module: Any) -> bool:
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not isinstance(eps, float) or weight is None or weight.dim() != 1 or len(list(module.parameters())) != 1:
        return False
    for from_one in (False, True):
        if _answers(module, weight, eps, from_one):
            module.forward = types.MethodType(lambda self, x, one=from_one: RmsNorm.apply(x, self.weight, eps, one), module)
            return True
    return False


def _answers(module: Any, weight: Any, eps: float, from_one: bool) -> bool:
    """Whether the module gives the same as ours for numbers of very different size, to which eps matters."""
    probe = torch.linspace(-1, 1, 3 * len(weight)).sin().view(3, -1) * torch.tensor([[1e-3], [1.0], [30.0]])
    with torch.no_grad():
        theirs, ours = module(probe.to(weight)), RmsNorm.apply(probe.to(weight), weight, eps, from_one)
    return theirs.dtype == ours.dtype and torch.allclose(theirs.float(), ours.float(), rtol=1e-2, atol=1e-6)
