"""Many lengths as a few numbers and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BARS = 24
POINTS = 400  # of the curve that tells what any max_length would cut


def distribution(lengths: Sequence[int]) -> dict[str, Any]:
    """{count, min, mean, p50, p95, p99, max, total, histogram: [{from, to, rows}]}; bars of one width, the last one open above."""
    import numpy as np

    values = np.asarray(lengths, dtype=np.int64)
    if not len(values):
        zero = dict.fromkeys(("count", "min", "mean", "p50", "p95", "p99", "max", "total"), 0)
        return {**zero, "histogram": []}
    p50, p95, p99 = (int(value) for value in np.percentile(values, (50, 95, 99), method="higher"))
    return {
        "count": len(values),
        "min": int(values.min()),
        "mean": round(float(values.mean()), 1),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": int(values.max()),
        "total": int(values.sum()),
        "histogram": _bars(values, p99),
    }


def _bars(values: Any, p99: int) -> list[dict[str, int]]:
    """Bars up to a little above the 99th percentile; what is longer stands in the last one."""
    import numpy as np

    low, high = int(values.min()), int(values.max())
    reach = min(high, max(low + 1, int(p99 * 1.25)))
    width = max(1, -(-(reach - low + 1) // BARS))
    edges = list(range(low, reach + 1 + width, width))
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 1), bins=edges)
    bars = [{"from": start, "to": start + width - 1, "rows": int(count)} for start, count in zip(edges, counts, strict=False)]
    if bars and high > bars[-1]["to"]:
        bars[-1]["to"] = high
    return bars


def curve(lengths: Sequence[int]) -> list[int]:
    """The lengths' quantiles at POINTS even steps: enough to say what share of the rows any limit cuts."""
    import numpy as np

    if not len(lengths):
        return []
    return [int(value) for value in np.quantile(np.asarray(lengths), np.linspace(0, 1, POINTS), method="higher")]


def share_above(points: list[int], limit: int) -> float:
    """The share of rows longer than `limit`, from their curve."""
    return round(sum(point > limit for point in points) / len(points), 4) if points else 0.0
