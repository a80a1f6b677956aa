"""The owner of a job is told when its money comes to an end, once for each threshold."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Notification, User
from tests.training.conftest import claimed, make_queued
from training.executors import State
from training.remote_watch import RemoteWatch

Kind = Notification.Kind


class Billed:
    """A provider that has charged for so many seconds."""

    patience = 1.0
    seconds = 0.0
    asked_to_stop = False

    def inspect(self, run_dir: Any) -> State:
        return State(True, billed_seconds=self.seconds)

    def ask_to_stop(self, run_dir: Any) -> None:
        self.asked_to_stop = True


def test_at_eighty_percent_and_when_it_is_used_up(alice: User, scripted: Any) -> None:
    job = make_queued(alice, budget="10.00", cost={"price_per_hour": 10.0})
    lease, place = claimed(job), Billed()
    watch = RemoteWatch(job, lease, place)  # type: ignore[arg-type]

    def told_after(seconds: float) -> list[str]:
        place.seconds = seconds
        watch.look_at_cost()
        return list(Notification.objects.for_user(alice).order_by("pk").values_list("kind", flat=True))

    assert told_after(0.5 * 3600) == []
    assert told_after(0.8 * 3600) == told_after(0.9 * 3600) == [Kind.BUDGET_WARNING]
    assert not place.asked_to_stop
    assert told_after(3600) == told_after(3700) == [Kind.BUDGET_WARNING, Kind.BUDGET_USED_UP]
    assert place.asked_to_stop
    notice = Notification.objects.get(kind=Kind.BUDGET_WARNING)
    assert notice.path == f"/training/{job.pk}" and "$8.00 of the job's budget of $10.00" in notice.text


@pytest.mark.parametrize("budget", [None, "1000"])
def test_nobody_is_told_without_a_budget_or_far_from_it(alice: User, scripted: Any, budget: str | None) -> None:
    job = make_queued(alice, budget=budget, cost={"price_per_hour": 10.0})
    place = Billed()
    place.seconds = 3600
    RemoteWatch(job, claimed(job), place).look_at_cost()  # type: ignore[arg-type]
    assert not Notification.objects.exists()
