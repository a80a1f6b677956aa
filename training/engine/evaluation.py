"""Averages over an evaluation that don't depend on which rows share a batch: each value is weighted by what it is a mean of.

A trainer's batch gives its own means; `Means` adds them up again. Which value is a mean over tokens, over pairs or over
rated answers is each method's own: see the subclasses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Part = tuple[str, float, float]  # a value's name, its mean in one batch, and over how many it is


class Means:
    """Sums of one evaluation on this process."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def start(self) -> None:
        """Forget the last evaluation."""
        self.sums = {}

    def add(self, inputs: dict[str, Any], loss: float, latest: dict[str, float], *, counts: bool = True) -> None:
        """Count one batch, its loss and the trainer's other values for it."""
        for name, value, weight in self.parts(inputs, loss, latest) if counts else ():
            known = self.sums.setdefault(name, [0.0, 0.0])
            if weight:  # a mean of nothing may be 0 / 0
                known[0] += value * weight
                known[1] += weight

    def values(self, world: Any) -> dict[str, float]:
        """The means over all processes of `world`; not each may have seen every value."""
        names = world.union(self.sums)
        totals = world.total([number for name in names for number in self.sums.get(name, (0.0, 0.0))])
        pairs = zip(totals[::2], totals[1::2], strict=True)
        return self.derived({name: total / max(weight, 1.0) for name, (total, weight) in zip(names, pairs, strict=True)})

    def parts(self, inputs: dict[str, Any], loss: float, latest: dict[str, float]) -> Iterator[Part]:
        """What one batch gives."""
        raise NotImplementedError

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        """The means, and what follows from them."""
        return means


class TokenMeans(Means):
    """Supervised learning: everything is a mean over labelled tokens."""

    def parts(self, inputs: dict[str, Any], loss: float, latest: dict[str, float]) -> Iterator[Part]:
        tokens = float((inputs["labels"][:, 1:] != -100).sum())
        yield "loss", loss, tokens
        yield "mean_token_accuracy", latest["mean_token_accuracy"], tokens

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        loss = means.get("loss", math.nan)
        return means | {"perplexity": math.exp(min(loss, 700.0)) if math.isfinite(loss) else math.nan}


class PairMeans(Means):
    """DPO: losses and rewards are means over pairs, what is said about tokens is one over the answers' tokens."""

    def parts(self, inputs: dict[str, Any], loss: float, latest: dict[str, float]) -> Iterator[Part]:
        chosen, rejected = inputs["completion_mask"][:, 1:].chunk(2)
        weights = {
            "logits/chosen": float(chosen.sum()),
            "logits/rejected": float(rejected.sum()),
            "mean_token_accuracy": float(chosen.sum()),
            "entropy": float(chosen.sum() + rejected.sum()),
        }
        yield "loss", loss, float(len(chosen))
        for name, value in latest.items():
            if name != "num_tokens":
                yield name, value, weights.get(name, float(len(chosen)))


class OddsMeans(PairMeans):
    """ORPO: as DPO, but its loss is a mean over the preferred rows' tokens minus one over pairs."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def parts(self, inputs: dict[str, Any], loss: float, latest: dict[str, float]) -> Iterator[Part]:
        chosen = inputs["attention_mask"].chunk(2)[0][:, 1:]
        for name, value, weight in super().parts(inputs, loss, latest):
            yield name, value, float(chosen.sum()) if name == "nll_loss" else weight

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        return means | {"loss": means["nll_loss"] - self.beta * means["log_odds_ratio"]}


class RatingMeans(Means):
    """KTO: rewards are means over the good answers or over the bad ones, of which a batch may have none."""

    def parts(self, inputs: dict[str, Any], loss: float, latest: dict[str, float]) -> Iterator[Part]:
        good = inputs["label"].bool()
        tokens = inputs["completion_mask"][:, 1:].sum(1)
        counts = {"chosen": float(good.sum()), "rejected": float((~good).sum())}
        lengths = {"chosen": float(tokens[good].sum()), "rejected": float(tokens[~good].sum())}
        yield "loss", loss, float(len(good))
        for name, value in latest.items():
            group, _, side = name.partition("/")
            if side in counts:
                yield name, value, (lengths if group == "logits" else counts)[side]
            elif name in ("kl", "entropy"):
                yield name, value, float(len(good)) if name == "kl" else float(tokens.sum())

    def derived(self, means: dict[str, float]) -> dict[str, float]:
        return means | {"rewards/margins": means.get("rewards/chosen", 0.0) - means.get("rewards/rejected", 0.0)}
