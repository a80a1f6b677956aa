"""What providers hold of ours in a person's accounts, and what of it no job needs any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from accounts.models import User
from finetune.core.errors import DomainError
from training import executors, prices
from training.executors import AccessRefused, Hardware, Orphan, placement
from training.models import TrainingJob


@dataclass(frozen=True)
class CloudRun:
    """One thing at a provider. `needed` while an active job is in the attempt it was made for; `kept` while a failed or cancelled job
    could go on from it (see forget_jobs); `cost` (USD) so far, where known; `cost_note` says how it was counted where it is more than is billed, or why nobody knows it."""

    executor: str
    held: Orphan
    job: TrainingJob | None
    needed: bool
    kept: bool
    cost: float | None
    price_per_hour: float | None
    cost_note: str


@dataclass(frozen=True)
class CloudRuns:
    """`troubles` says, by executor, who could not be asked and why."""

    runs: list[CloudRun] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def orphans(self) -> list[CloudRun]:
        return [run for run in self.runs if not run.needed and not run.kept]


def list_cloud_runs(*, user: User) -> CloudRuns:
    """Ask every provider this person has an account with; one that does not answer does not hide the others."""
    found = CloudRuns()
    for name in executors.remote_names():
        place = executors.load(name)
        if not place.capabilities(user).usable:
            continue
        try:
            found.runs.extend(_runs(name, place.list_orphans(user), user))
        except (AccessRefused, DomainError) as error:
            found.troubles[name] = str(error)
    return found


def _runs(executor: str, all_held: list[Orphan], user: User) -> Iterable[CloudRun]:
    """With their jobs and prices, asked for once."""
    places = [placement.parse_key(held.run_key) for held in all_held]
    jobs = TrainingJob.objects.for_user(user).in_bulk({place[0] for place in places if place})
    machines = {machine.id: machine for machine in prices.hardware(executor)} if all_held else {}
    for held, place in zip(all_held, places, strict=True):
        job = jobs.get(place[0]) if place else None
        yield _run(executor, held, job, place[1] if place else 0, machines.get(held.hardware))


def _run(executor: str, held: Orphan, job: TrainingJob | None, attempt: int, machine: Hardware | None) -> CloudRun:
    """`attempt` is 0 for what all attempts share."""
    needed = bool(job and job.is_active and attempt in (0, job.attempt))
    kept = bool(job and job.status in TrainingJob.ENDED_BADLY and not attempt)
    price = machine.price_per_hour if machine and held.running else None
    cost = None if price is None or held.seconds is None else prices.cost(price, held.seconds)
    note = held.note if cost is not None else _unknown(held, price)
    return CloudRun(executor, held, job, needed, kept, cost, price, note)


def _unknown(held: Orphan, price: float | None) -> str:
    """Why there is no cost."""
    if not held.running:
        return "nothing runs: it costs no more than its storage"
    if not held.hardware:
        return "cost unknown: the provider does not tell its hardware"
    if price is None:
        return f"cost unknown: “{held.hardware}” is not in the price list"
    return "cost so far unknown: the provider does not tell when it started"
