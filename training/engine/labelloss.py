"""The loss where there is a label, and nowhere else.

TRL projects every position to the vocabulary three times when there is no Triton. Here each labelled token's logits are
made once, in slices of bounded size, and turned into the gradient in place: two products with the output head, not three.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

IGNORED = -100
SLICE, ROWS = 8_000_000, 256  # logits, and rows of them, that are held at once (so that they stay in the cache)
# A model with one of these set treats its logits in its own way; TRL knows how.
SPECIAL = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


class LabelLogProbs(torch.autograd.Function):
    """log softmax(hidden · weightᵀ)[target] of each row; also its entropy and whether the target ranks first.

    In: hidden [N, H], weight [V, H], bias [V] or None, targets [N] in 0…V-1. Out: three tensors [N] in float32, float32 and
    bool; only the first carries a gradient. A row's log-probability depends on its own hidden state only, so the gradient
    for a unit output is made on the way and scaled by rows later.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, bias: Any, targets: Any) -> tuple[Any, Any, Any]:
        dtype = torch.get_autocast_dtype(hidden.device.type) if torch.is_autocast_enabled(hidden.device.type) else hidden.dtype
        weight_used = weight.to(dtype)
        count, wanted = hidden.shape[0], ctx.needs_input_grad[0]
        log_probs, entropy = hidden.new_empty(count, dtype=torch.float32), hidden.new_empty(count, dtype=torch.float32)
        first = torch.empty(count, dtype=torch.bool, device=hidden.device)
        unit = hidden.new_empty(hidden.shape, dtype=torch.float32) if wanted else None
        for part in _slices(count, weight.shape[0]):
            logits, target = _logits(hidden[part], weight_used, bias, dtype), targets[part, None]
            first[part] = logits.argmax(-1) == target[:, 0]
            logits -= logits.amax(-1, keepdim=True)
            chosen = logits.gather(-1, target)[:, 0]
            powers = logits.exp()
            total = powers.sum(-1)
            log_probs[part] = chosen - total.log()
            entropy[part] = total.log() - torch.linalg.vecdot(powers, logits) / total
            if unit is not None:
                unit[part] = _slope(powers, total, target).to(dtype) @ weight_used
        ctx.save_for_backward(hidden, weight, bias, targets, unit)
        ctx.mark_non_differentiable(entropy, first)
        ctx.dtype = dtype
        return log_probs, entropy, first

    @staticmethod
    def backward(ctx: Any, gradient: Any, *_: Any) -> tuple[Any, Any, Any, None]:
        hidden, weight, bias, targets, unit = ctx.saved_tensors
        into_hidden = (unit * gradient[:, None]).to(hidden.dtype) if unit is not None else None
        into_weight = into_bias = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            into_weight, into_bias = _head_gradients(ctx, hidden, weight, bias, targets, gradient)
        return into_hidden, into_weight, into_bias, None


def _slices(count: int, vocabulary: int) -> list[slice]:
    rows = max(1, min(ROWS, SLICE // vocabulary))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def _logits(hidden: Any, weight: Any, bias: Any, dtype: Any) -> Any:
    logits = hidden.to(dtype) @ weight.t()
    return (logits if bias is None else logits + bias.to(dtype)).float()


def _slope(powers: Any, total: Any, target: Any) -> Any:
    """The log-probability's gradient by the logits, one-hot(target) - softmax, written over `powers`."""
    slope = powers.mul_(-1.0 / total[:, None])
    return slope.scatter_add_(-1, target, torch.ones_like(target, dtype=slope.dtype))


def _head_gradients(ctx: Any, hidden: Any, weight: Any, bias: Any, targets: Any, gradient: Any) -> tuple[Any, Any]:
    """Gradients of the output head where it is trained; the logits are made again slice by slice, as they were not kept."""
    into_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
    into_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and ctx.needs_input_grad[2] else None
    weight_used = weight.to(ctx.dtype)
    for part in _slices(hidden.shape[0], weight.shape[0]):
        logits = _logits(hidden[part], weight_used, bias, ctx.dtype)
        powers = logits.sub_(logits.amax(-1, keepdim=True)).exp_()
        slope = _slope(powers, powers.sum(-1), targets[part, None]).mul_(gradient[part, None])
        if into_weight is not None:
            into_weight += slope.to(ctx.dtype).t() @ hidden[part].to(ctx.dtype)
        if into_bias is not None:
            into_bias += slope.sum(0)
    return (
        into_weight.to(weight.dtype) if into_weight is not None else None,
        into_bias.to(bias.dtype) if into_bias is not None else None,
    )


def applies_to(model: Any) -> bool:
    """Whether the model's head is a plain product with its weight, and there is no auxiliary loss beside it."""
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    plain = type(head) is torch.nn.Linear and not any(getattr(config, name, None) is not None for name in SPECIAL)
    return plain and not getattr(config, "output_router_logits", False)


def install(model: Any) -> None:
    """Answer TRL's `fused_lm_head=True` on this base model (TRL has patched it already) from labelled positions only."""
    from trl.trainer.utils import FusedCausalLMOutput

    theirs = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None or kwargs.get("output_router_logits"):
            known = {"fused_lm_head": True} if fused_lm_head else {}
            return theirs(*args, **known, **({"labels": labels} if labels is not None else {}), **kwargs)
        kwargs.pop("num_items_in_batch", None)
        states = self.base_model(*args, **kwargs | {"use_cache": False}).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        mask = wanted != IGNORED
        head = self.get_output_embeddings()
        found = LabelLogProbs.apply(states[mask], head.weight, head.bias, wanted[mask])
        names = ("log_probs", "entropy", "is_top1")
        spread = {name: part.new_zeros(mask.shape).masked_scatter(mask, part) for name, part in zip(names, found, strict=True)}
        return FusedCausalLMOutput(loss=-spread["log_probs"].sum() / mask.sum().clamp(min=1), label_mask=mask, **spread)

    model.forward = types.MethodType(forward, model)
