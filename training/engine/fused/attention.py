"""Causal attention over the sequences of a flattened batch, by plain matrix products: on CPUs in bfloat16 more than twice as
quick as torch's SDPA, most of all backward; in float32 up to 1.7 times, by oneDNN's products (products.py).

Queries are taken in blocks, each against the keys up to its end only, so that the scores of a block stay in the cache and
half of them are never made. Nothing of size length² is kept: the backward pass makes the scores again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

BLOCK = 128  # queries whose scores are made at once


@dataclass(frozen=True)
class Piece:
    """Queries start…end against the keys `before`…`before`+`length` (a shared beginning, may be empty) and first…end."""

    before: int
    length: int
    first: int
    start: int
    end: int

    def keys(self, part: Any) -> Any:
        """[heads, keys, width] of `part` [heads, tokens, width]; a copy only with a shared beginning."""
        own = part[:, self.first : self.end]
        return torch.cat([part[:, self.before : self.before + self.length], own], dim=1) if self.length else own

    def add_to_keys(self, part: Any, addition: Any) -> None:
        """The reverse of `keys`: add [heads, keys, width] where they came from."""
        part[:, self.first : self.end] += addition[:, self.length :]
        if self.length:
            part[:, self.before : self.before + self.length] += addition[:, : self.length]


def pieces(bounds: list[int], prefixes: list[tuple[int, int]]) -> Iterator[Piece]:
    for (first, last), (before, length) in zip(itertools.pairwise(bounds), prefixes, strict=True):
        for start in range(first, last, BLOCK):
            yield Piece(before, length, first, start, min(start + BLOCK, last))


class CausalAttention(torch.autograd.Function):
    """softmax(query·keyᵀ·scaling)·value inside each sequence.

    In: query [1, H, T, D], key and value [1, G, T, D] with H a multiple of G, bounds 0…T, a prefix for each sequence as
    (start, length), the scaling. Out: [1, T, H, D].
    """

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, bounds: list[int], prefixes: Any, scaling: float | None) -> Any:
        ctx.save_for_backward(query, key, value)
        ctx.layout = bounds, prefixes
        ctx.scaling = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
        found = query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])
        for piece in pieces(bounds, prefixes):
            chances, _, _ = _chances(piece, query[0], key[0], ctx.scaling)
            _rows(found[0].transpose(0, 1), piece, key)[:] = _grouped(torch.bmm(chances, piece.keys(value[0])), key, piece)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        query, key, value = ctx.saved_tensors
        by_head = gradient[0].transpose(0, 1)
        into_query, into_key, into_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for piece in pieces(*ctx.layout):
            chances, queries, keys = _chances(piece, query[0], key[0], ctx.scaling)
            slope = _flat(_rows(by_head, piece, key))
            piece.add_to_keys(into_value[0], torch.bmm(chances.mT, slope))
            by_chance = torch.bmm(slope, piece.keys(value[0]).mT)
            by_score = torch._softmax_backward_data(by_chance, chances, -1, chances.dtype)
            _rows(into_query[0], piece, key)[:] = _grouped(torch.bmm(by_score, keys).mul_(ctx.scaling), key, piece)
            piece.add_to_keys(into_key[0], torch.bmm(by_score.mT, queries).mul_(ctx.scaling))
        return into_query, into_key, into_value, None, None, None


def _chances(piece: Piece, query: Any, key: Any, scaling: float) -> tuple[Any, Any, Any]:
    """(What each query takes of each key [G, H/G · queries, keys]; its queries and keys, by group)."""
    count = piece.end - piece.start
    queries, keys = _flat(_rows(query, piece, key[None])), piece.keys(key)
    scores = torch.bmm(queries, keys.mT).float().mul_(scaling)
    # Only the last keys, the block's own, may come after a query.
    scores.view(len(key), -1, count, scores.shape[-1])[..., -count:].add_(_later(count))
    return scores.softmax(-1).to(query.dtype), queries, keys


def _rows(part: Any, piece: Piece, key: Any) -> Any:
    """The block's part of [H, T, D], by group: [G, H/G, queries, D]."""
    return part[:, piece.start : piece.end].unflatten(0, (key.shape[1], -1))


def _flat(part: Any) -> Any:
    return part.reshape(part.shape[0], -1, part.shape[-1])


def _grouped(part: Any, key: Any, piece: Piece) -> Any:
    return part.view(key.shape[1], -1, piece.end - piece.start, part.shape[-1])


_MASK: list[Any] = []


def _later(count: int) -> Any:
    """[count, count]: -inf where the key comes after the query, else 0."""
    if not _MASK:
        _MASK.append(torch.full((BLOCK, BLOCK), -math.inf).triu_(1))
    return _MASK[0][:count, :count]
