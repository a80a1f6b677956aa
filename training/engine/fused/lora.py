"""A frozen linear layer with PEFT's adapter beside it, as one step.

PEFT casts what enters the adapter to float32 (autocast casts it back), writes the adapter's answer out, scales it into a second
buffer and adds it into a third. Here it is added by the product itself, and nothing is cast that is not used.
"""

from __future__ import annotations

import types
from typing import Any

import torch

from .precision import compute_dtype


class LoraLinear(torch.autograd.Function):
    """x·Wᵀ + bias + scaling·(x·Aᵀ)·Bᵀ.

    In: x [..., inputs], W [outputs, inputs] and bias [outputs] or None, both frozen, A [r, inputs], B [outputs, r].
    Out: [..., outputs] in the dtype autocast asks for, else in x's.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scaling: float) -> Any:
        dtype = compute_dtype(x)
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        weight = weight.to(dtype)
        found = rows @ weight.t() if bias is None else torch.addmm(bias.to(dtype), rows, weight.t())
        inner = (rows @ a.to(dtype).t()).mul_(scaling)
        found.addmm_(inner, b.to(dtype).t())
        ctx.save_for_backward(rows, weight, a, b, inner)
        ctx.scaling, ctx.into = scaling, (x.shape, x.dtype)
        return found.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        rows, weight, a, b, inner = ctx.saved_tensors
        slope = gradient.reshape(-1, gradient.shape[-1])
        into_inner = (slope @ b.to(slope.dtype)).mul_(ctx.scaling)
        into_x = None
        if ctx.needs_input_grad[0]:
            shape, dtype = ctx.into
            into_x = (slope @ weight).addmm_(into_inner, a.to(slope.dtype)).view(shape).to(dtype)
        into_a = (into_inner.t() @ rows).to(a.dtype) if ctx.needs_input_grad[3] else None
        into_b = (inner.t() @ slope).t().to(b.dtype) if ctx.needs_input_grad[4] else None
        return into_x, None, None, into_a, into_b, None


def install(model: Any) -> list[Any]:
    """Let every adapter of a plain linear layer compute so. Returns them."""
    from peft.tuners.lora import Linear

    found: list[Any] = [
        module for module in model.modules() if type(module) is Linear and type(module.base_layer) is torch.nn.Linear
    ]
    for module in found:
        module.forward = types.MethodType(_forward, module)
    return found


def _forward(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    name = self.active_adapters[0]
    if args or kwargs or not _plain(self, name) or not x.is_floating_point():
        return type(self).forward(self, x, *args, **kwargs)
    base = self.base_layer
    return LoraLinear.apply(x, base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name])


def _plain(module: Any, name: str) -> bool:
    """Whether there is one adapter, switched on, unmerged, without dropout, bias or a variant such as DoRA, on a frozen layer."""
    return (
        len(module.active_adapters) == 1
        and name in module.lora_A
        and not (module.disable_adapters or module.merged or module.lora_variant or module.lora_bias[name])
        and isinstance(module.lora_dropout[name], torch.nn.Identity)
        and not module.base_layer.weight.requires_grad
        and not (module.base_layer.bias is not None and module.base_layer.bias.requires_grad)
    )
