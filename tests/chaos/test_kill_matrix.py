"""{web, worker, engine, broker, database} killed with -9 × {queued, preparing, training, saving, registering}.

After each the job has succeeded, its losses and weights are bit-identical to an undisturbed run's, every point is there once
and in order, nothing is left running or locked, and exactly one model version exists. `make test-chaos` runs all of it;
the cases marked `smoke` are part of `make test`.
"""

from __future__ import annotations

import itertools
import signal
import time
from typing import Any

import pytest

from tests import servers
from tests.chaos.installation import Installation
from tests.chaos.undisturbed import ALL, check, check_all, reference

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

MOMENTS = ("queued", "preparing", "training", "saving", "registering")
SMOKE = {("engine", "saving"), ("worker", "training"), ("worker", "registering"), ("broker", "queued"), ("database", "training")}


def cases(*parts: str) -> list[Any]:
    """All of the matrix with CHAOS=all, else the few that find most."""
    return [case for case in itertools.product(parts, MOMENTS) if ALL or case in SMOKE]


@pytest.mark.parametrize(("part", "moment"), cases("web", "worker", "engine", "broker"))
def test_nothing_is_lost_and_nothing_doubled(embedded: Installation, undisturbed: dict[str, Any], part: str, moment: str) -> None:
    expected = reference(embedded, undisturbed)
    jobs = [embedded.start_job() for _ in range(2 if moment == "queued" else 1)]
    embedded.at(moment, jobs[-1])
    embedded.kill(part, jobs[0])
    check_all(embedded, jobs, expected)


@pytest.mark.parametrize(("part", "moment"), cases("database"))
def test_a_killed_database_loses_nothing(
    production: Installation, database: servers.Server, undisturbed: dict[str, Any], part: str, moment: str
) -> None:
    expected = reference(production, undisturbed)
    jobs = [production.start_job() for _ in range(2 if moment == "queued" else 1)]
    production.at(moment, jobs[-1])
    database.stop(signal.SIGKILL)
    time.sleep(1.5)
    database.start()
    check_all(production, jobs, expected)


@pytest.mark.skipif(not ALL, reason="half a minute of silence: CHAOS=all")
def test_a_broker_that_hangs_for_half_a_minute(embedded: Installation, undisturbed: dict[str, Any]) -> None:
    expected = reference(embedded, undisturbed)
    pk = embedded.start_job()
    embedded.at("training", pk)
    broker = embedded.find("valkey-server")
    broker.suspend()
    time.sleep(30)
    broker.resume()
    check(embedded, pk, expected)
    check(embedded, embedded.start_job(), expected)
