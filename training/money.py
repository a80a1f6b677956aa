"""What a job costs: its price, what was spent, what is left of its budget. USD throughout; a job that runs here costs nothing.

`job.cost` holds {estimated: {low, high}, actual, currency, price_per_hour, price_as_of, price_source, attempts: {n: USD}, warned, stopped}.
"""

from __future__ import annotations

from typing import Any

from training import prices
from training.models import TrainingJob

CURRENCY = "USD"


def price_of(job: TrainingJob) -> float:
    """USD an hour, as it was when the job was queued; else as it is now."""
    if "price_per_hour" in job.cost:
        return float(job.cost["price_per_hour"] or 0.0)
    found = prices.find_hardware(job.executor, job.hardware)
    return (found.price_per_hour or 0.0) if found else 0.0


def spent(job: TrainingJob) -> float:
    """By all attempts so far."""
    return round(sum((job.cost.get("attempts") or {}).values()), 4)


def budget_left(job: TrainingJob) -> float | None:
    """None where no budget was set."""
    return None if job.budget is None else max(0.0, float(job.budget) - spent(job))


def foreseen(job: TrainingJob) -> dict[str, float]:
    """{low, high}: what the rest of the run will cost by its estimate."""
    whole = job.cost.get("estimated") or {"low": 0.0, "high": 0.0}
    rest = 1.0 - float(job.progress.get("fraction") or 0.0)
    return {name: round(whole[name] * rest, 4) for name in ("low", "high")}


def at_start(job: TrainingJob, duration: dict[str, float] | None) -> dict[str, Any]:
    """The job's `cost` when it is queued: the price it is run at, and what that makes of the estimated duration."""
    found = prices.find_hardware(job.executor, job.hardware)
    if found is None:
        return job.cost
    told = {
        "currency": CURRENCY, "price_per_hour": found.price_per_hour, "price_as_of": found.price_as_of, "price_source": found.price_source,
    }  # fmt: skip
    estimated = estimate(job.executor, found.price_per_hour, duration) if duration else None
    return job.cost | told | ({"estimated": estimated} if estimated else {})


def estimate(executor: str, price_per_hour: float | None, duration: dict[str, float]) -> dict[str, float]:
    """{low, high}: price × (duration + start-up), which is billed too."""
    start = prices.START_UP_SECONDS.get(executor, 0.0)
    return {
        "low": prices.cost(price_per_hour, duration["low"] + start / 2),
        "high": prices.cost(price_per_hour, duration["high"] + start),
    }


def with_attempt(job: TrainingJob, seconds: float) -> dict[str, Any]:
    """The job's `cost` once this attempt has been charged for so many seconds."""
    attempts = (job.cost.get("attempts") or {}) | {str(job.attempt): prices.cost(price_of(job), seconds)}
    return job.cost | {"attempts": attempts, "actual": round(sum(attempts.values()), 4), "currency": CURRENCY}
