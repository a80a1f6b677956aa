"""What finished runs say about a device's speed: the two costs of a step apart, and the first step by itself.

A step costs what its tokens have to be computed, and something for every layer however small the batch is. Both are a device's
own, so one factor would foresee a large model wrongly by a small one; runs of the same model weigh them as the next one will, and
two factors would only follow their noise (measured: docs/estimates.md). And the first step of a run takes longer, once (compiled
products, the allocator's first blocks), which short runs feel most.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# How many times more the layers' fixed cost may have to be corrected than the computing.
SHARES = [2 ** (power / 2) for power in range(-4, 5)]
# How much better the runs must agree on average (as a logarithm) for a factor of e between the two corrections.
STIFFNESS = 0.015
# Rows that a run must have seen for its token count to say as much as the estimate from bytes did before: row lengths vary by
# about 0.8 of their mean, bytes tell tokens within 0.15 of theirs, and (0.8 / 0.15)² rows have a mean as sure as that.
ROWS_AS_SURE = 28


@dataclass(frozen=True)
class Timing:
    """One finished run. `computing` and `layers` are seconds that were foreseen for the tokens it really had (plans.Forecast);
    `seconds` were measured for its `steps` steps, `first_seconds` of them until step `first_step`, where that was kept."""

    computing: float
    layers: float
    seconds: float
    steps: int
    first_step: int = 0
    first_seconds: float = 0.0

    @property
    def steady(self) -> float:
        """Seconds that all steps would have taken at the pace of those after the first point."""
        return (self.seconds - self.first_seconds) / (self.steps - self.first_step) * self.steps

    @property
    def warm_up(self) -> float:
        """Seconds that the first steps took beyond that."""
        return max(0.0, self.seconds - self.steady)


@dataclass(frozen=True)
class Pace:
    """What to multiply the foreseen seconds of computing and of layers by, and the seconds to add once."""

    computing: float = 1.0
    layers: float = 1.0
    warm_up: float = 0.0

    def seconds(self, computing: float, layers: float) -> float:
        """The corrected seconds of a run's training."""
        return self.computing * computing + self.layers * layers + self.warm_up


def pace_of(runs: Sequence[Timing], *, similar: bool) -> Pace:
    """The corrections under which these runs agree best. Those that are `similar` to what is foreseen correct both costs alike, as
    one run alone does."""
    factors = {share: _median_factor(runs, share) for share in ([1.0] if similar else SHARES)}
    best = min(factors, key=lambda share: _disagreement(runs, share, factors[share]) + STIFFNESS * abs(math.log(share)))
    return Pace(factors[best], best * factors[best], statistics.median(run.warm_up for run in runs))


def _median_factor(runs: Sequence[Timing], share: float) -> float:
    return statistics.median(run.steady / (run.computing + share * run.layers) for run in runs)


def _disagreement(runs: Sequence[Timing], share: float, factor: float) -> float:
    return statistics.fmean(abs(math.log(factor * (run.computing + share * run.layers) / run.steady)) for run in runs)


@dataclass(frozen=True)
class Count:
    """The tokens of one finished run, true and as estimated from bytes, in the `seen` of its `rows` rows."""

    true: float
    estimated: float
    seen: float
    rows: int


def token_ratio(counts: Sequence[Count]) -> float:
    """How many times more tokens there are than was estimated. Runs that saw few of their rows say little, because lengths are
    drawn: their counts are joined by rows as estimated."""
    true, estimated, seen = (sum(getattr(count, name) for count in counts) for name in ("true", "estimated", "seen"))
    unseen = 1.0 - min(1.0, max(count.seen / count.rows for count in counts))
    joined = unseen * ROWS_AS_SURE * estimated / seen
    return (true + joined) / (estimated + joined)
