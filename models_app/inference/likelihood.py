"""How likely a model finds a text that was written by somebody else."""

from __future__ import annotations

from typing import Any

from .pool import ModelPool
from .types import Weights

CHUNK = 1024  # places whose logits are in memory together; a text with more is read again for the rest


def negative_log_likelihood(pool: ModelPool, weights: Weights, ids: list[int], learned: list[bool]) -> tuple[float, int]:
    """(sum, count) over the learned tokens, in nats; what lies beyond the model's longest sequence does not count.

    The same tokens count as in training: a token is predicted from those before it, so the first one never counts.
    """
    import torch

    with pool.using(weights) as session, torch.inference_mode():
        longest = getattr(session.model.config.get_text_config(), "max_position_embeddings", None) or len(ids)
        ids, learned = ids[:longest], learned[:longest]
        places = [at for at in range(1, len(ids)) if learned[at]]
        if not places:
            return 0.0, 0
        tokens = torch.tensor([ids], device=session.model.device)
        return _sum(session.model, tokens, places), len(places)


def _sum(model: Any, tokens: Any, places: list[int]) -> float:
    """Logits of the places before the learned tokens only: a large vocabulary times a long text would not fit."""
    import torch

    total = 0.0
    for start in range(0, len(places), CHUNK):
        at = torch.tensor(places[start : start + CHUNK], device=tokens.device)
        found = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False, logits_to_keep=at - 1)
        total += float(torch.nn.functional.cross_entropy(found.logits[0].float(), tokens[0, at], reduction="sum"))
    return total
