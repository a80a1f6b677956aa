"""Answers' log-probabilities from padded batches, without computing the padding, nor twice what two rows begin with.

TRL's preference trainers give the model batches whose second half holds the other answer to the same prompt, each row
padded to the longest. `install` answers their calls from a flat batch in which every token stands once (attention.py keeps
the rows apart) and projects only labelled positions to the vocabulary (labelloss.py). The trainers see no difference.
"""

from __future__ import annotations

import functools
import itertools
import types
from dataclasses import dataclass
from typing import Any

import torch

from .labelloss import IGNORED, LabelLogProbs

# A shared beginning that is shorter costs more in bookkeeping than it saves.
LEAST_SHARED = 8


@dataclass(frozen=True)
class Flat:
    """A padded batch laid out flat. `inputs` are the model's; `where[row, column]` is a token's place in the flat batch."""

    inputs: dict[str, Any]
    where: Any


def flatten(ids: Any, mask: Any) -> Flat:
    """Lay a right-padded batch [rows, columns] out flat; what row i + rows/2 begins with as row i does stands there once."""
    rows, columns = ids.shape
    lengths, shared = mask.sum(1).tolist(), _shared(ids, mask)
    starts = list(itertools.accumulate((length - part for length, part in zip(lengths, shared, strict=True)), initial=0))
    counted = torch.arange(columns, device=ids.device)
    first = torch.tensor([start - part for start, part in zip(starts, shared, strict=False)], device=ids.device)
    where = first[:, None] + counted
    half = rows // 2
    for row in (row for row in range(rows) if shared[row]):
        where[row, : shared[row]] = where[row - half, : shared[row]]
    own = mask.bool() & (counted >= torch.tensor(shared, device=ids.device)[:, None])
    bounds = torch.tensor(starts, dtype=torch.int32, device=ids.device)
    longest = max(after - before for before, after in itertools.pairwise(starts))
    inputs = {
        "input_ids": ids[own][None],
        "position_ids": counted.expand(rows, columns)[own][None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": longest,
        "max_length_k": longest,
        "prefixes": [(starts[row - half] if part else 0, part) for row, part in enumerate(shared)],
    }
    return Flat(inputs, where)


def _shared(ids: Any, mask: Any) -> list[int]:
    """How many tokens each row takes over from the row half a batch before it; one at least stays its own."""
    half, odd = divmod(ids.shape[0], 2)
    if odd:
        return [0] * ids.shape[0]
    same = (ids[:half] == ids[half:]) & mask[:half].bool() & mask[half:].bool()
    common = torch.minimum(same.long().cumprod(1).sum(1), mask[half:].sum(1) - 1)
    return [0] * half + [length if length >= LEAST_SHARED else 0 for length in common.tolist()]


def install(model: Any, *, flat: bool) -> None:
    """Answer `fused_lm_head=True` on this base model (TRL has patched it already) from labelled positions only; with `flat`
    also without padding. The model's attention must be attention.NAME then."""
    from trl.trainer.utils import FusedCausalLMOutput

    theirs = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None or args or kwargs.get("output_router_logits"):
            known = {"fused_lm_head": True} if fused_lm_head else {}
            return theirs(*args, **known, **({"labels": labels} if labels is not None else {}), **kwargs)
        wanted = labels[:, 1:]
        mask = wanted != IGNORED
        states = _states(self, kwargs["input_ids"], kwargs["attention_mask"], mask, flat)
        head = self.get_output_embeddings()
        found = (*LabelLogProbs.apply(states, head.weight, head.bias, wanted[mask]), _mean_logits(states, head))
        names = ("log_probs", "entropy", "is_top1", "mean_logits")
        spread = {name: part.new_zeros(mask.shape).masked_scatter(mask, part) for name, part in zip(names, found, strict=True)}
        loss = -spread["log_probs"].sum() / mask.sum().clamp(min=1)
        return FusedCausalLMOutput(loss=loss, label_mask=mask, **spread)

    model.forward = types.MethodType(forward, model)


def _states(model: Any, ids: Any, attention: Any, mask: Any, flat: bool) -> Any:
    """The hidden states [labels, width] from which the labelled tokens are predicted."""
    if not flat:
        return model.base_model(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state[:, :-1][mask]
    layout = flatten(ids, attention)
    states = model.base_model(**layout.inputs, attention_mask=None, use_cache=False).last_hidden_state[0]
    return states[layout.where[:, :-1][mask]]


def _mean_logits(states: Any, head: Any) -> Any:
    """The mean of each position's logits: the product with the mean of the head's rows."""
    with torch.no_grad():
        mean = states.float() @ head.weight.mean(0, dtype=torch.float32)
        return mean if head.bias is None else mean + head.bias.float().mean()
