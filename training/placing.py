"""What an executor is told about an attempt beside its spec, and for how long a provider may let it run."""

from __future__ import annotations

from typing import Any

from models_app.models import LanguageModel
from training import money, prices
from training.executors import Executor, placement
from training.executors.placement import Placement
from training.models import TrainingJob

SHORTEST, LONGEST = 15 * 60, 24 * 3600
UNKNOWN = 6 * 3600  # where nothing was foreseen
# How many times longer than the longest estimate a run may take before its provider ends it.
MARGIN = 2.0


def place(job: TrainingJob, executor: Executor) -> None:
    """Write placement.json for the job's present attempt, unless it runs here."""
    if executor.is_here:
        return
    placed = Placement(
        job=job.pk, attempt=job.attempt, owner=job.owner_id, hardware=job.hardware, timeout_seconds=time_limit(job),
        keep=job.keep_remote, base=base_on_hub(job.model), since=max((rewind["attempt"] for rewind in job.rewinds), default=1),
    )  # fmt: skip
    placement.write(job.run_dir, placed)


def time_limit(job: TrainingJob) -> int:
    """Seconds: twice the longest estimate and the start-up, never more than what is left of the budget buys."""
    foreseen = ((job.estimate or {}).get("duration_seconds") or {}).get("high")
    wanted = MARGIN * foreseen + prices.START_UP_SECONDS.get(job.executor, 0.0) if foreseen else UNKNOWN
    limit = min(max(wanted, SHORTEST), LONGEST)
    left, price = money.budget_left(job), money.price_of(job)
    if left is not None and price:
        # A little longer than the money lasts: the run is stopped in order before, with its checkpoint saved.
        limit = min(limit, max(60.0, left / price * 3600 * 1.1 + 120))
    return int(limit)


def base_on_hub(model: LanguageModel) -> dict[str, Any] | None:
    """Where the other side can fetch the base model itself, at exactly the commit that is here; None when it has to be sent along."""
    if model.source == LanguageModel.Source.HUB and model.repo_id and model.revision:
        return {"repo_id": model.repo_id, "revision": model.revision}
    return None
