"""What following a distant run adds to following one here: its events are fetched, its phases told, its money watched."""

from __future__ import annotations

import logging
import time
from typing import Any

from training import money
from training.executors import Executor, State
from training.lease import Lease
from training.models import TrainingJob
from training.services.record_events import record_events
from training.telling import tell_budget

logger = logging.getLogger(__name__)
REFUSED_SECONDS = 300.0  # how long a run whose credentials are refused waits for new ones
GONE_SECONDS = 1800.0  # how long a provider may be silent
COST_SECONDS = 5.0
WARN_AT = 0.8  # of the budget


class RemoteWatch:
    """One distant run; the supervisor calls it before it reads the run directory."""

    def __init__(self, job: TrainingJob, lease: Lease, executor: Executor):
        self.job, self.lease, self.executor = job, lease, executor
        self.since = time.monotonic()
        self.refused_since: float | None = None
        self.silent_since: float | None = None
        self._phase, self._going_home = "", False
        self._cost_at = 0.0
        self._stop_asked: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run was told to stop because its money is used up."""
        return bool(self.job.cost.get("stopped"))

    def look(self) -> None:
        """Bring what is new, tell a new phase, keep the provider's page and the cost. Raises what the executor raises."""
        state = self.executor.inspect(self.job.run_dir)
        self.executor.sync(self.job.run_dir)
        self.refused_since = self.silent_since = None
        self.tell_phase(state.phase)
        if state.url and state.url != self.job.remote.get("url"):
            self._keep(remote={**self.job.remote, "url": state.url})
        if state.alive and time.monotonic() - self._cost_at > COST_SECONDS:
            self.look_at_cost(state=state)

    def tell_phase(self, phase: str) -> None:
        """What happens outside the engine; on the way home, a run stays on it."""
        if phase and phase != self._phase and not self._going_home:
            record_events(lease=self.lease, events=[_phase(phase)], offset=self.job.events_offset)
        self._phase, self._going_home = phase, self._going_home or phase == "uploading"

    def look_at_cost(self, *, state: State | None = None, final: bool = False) -> None:
        """Store what was spent; warn at WARN_AT of the budget, stop at all of it."""
        self._cost_at = time.monotonic()
        state = state or self.executor.inspect(self.job.run_dir)
        if state.billed_seconds is not None:
            self._keep(cost=money.with_attempt(self.job, state.billed_seconds))
        if self.job.budget is None or final:
            return
        budget, spent = float(self.job.budget), money.spent(self.job)
        if spent >= WARN_AT * budget and not self.job.cost.get("warned"):
            self._warn(f"${spent:.2f} of the job's budget of ${budget:.2f} is spent.", warned=True)
        if spent >= budget and not self.stopped:
            self._warn("The budget is used up: stopping after the current step, with a checkpoint.", stopped=True)
        if self.stopped:
            self._stop()

    def is_refused_for_good(self, error: Exception) -> bool:
        """Whether credentials have been refused for so long that nobody will replace them; the first time it is told."""
        if self.refused_since is None:
            self.refused_since = time.monotonic()
            self._warn(f"{error} The run goes on; it is looked at again once there is a new token.")
        self.lease.renew()
        return time.monotonic() - self.refused_since > REFUSED_SECONDS

    def is_gone_for_good(self, error: Exception) -> bool:
        """Whether the provider has been silent for too long."""
        if self.silent_since is None:
            self.silent_since = time.monotonic()
            logger.warning("Job %s: its provider does not answer: %s", self.job.pk, error)
        self.lease.renew()
        return time.monotonic() - self.silent_since > GONE_SECONDS

    def _stop(self) -> None:
        """Ask once, and no longer than the executor's patience."""
        if self._stop_asked is None:
            self._stop_asked = time.monotonic()
            self.executor.ask_to_stop(self.job.run_dir)
        elif time.monotonic() - self._stop_asked > 30 * self.executor.patience:
            self.executor.stop(self.job.run_dir, force=True)

    def _warn(self, text: str, **facts: Any) -> None:
        event = {"kind": "warning", "level": "warning", "text": text, "time": time.time()}
        record_events(lease=self.lease, events=[event], offset=self.job.events_offset)
        if facts and self._keep(cost=self.job.cost | facts):
            tell_budget(self.job, text, used_up="stopped" in facts)

    def _keep(self, **values: Any) -> bool:
        """False when another worker follows the run by now."""
        if not self.lease.rows.update(**values):
            return False
        for name, value in values.items():
            setattr(self.job, name, value)
        return True


def _phase(name: str) -> dict[str, Any]:
    return {"kind": "phase", "phase": name, "time": time.time()}
