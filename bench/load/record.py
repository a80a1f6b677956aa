"""How many metric points a second a worker stores.

    python -m bench.load.record [--database sqlite|postgresql] [--points 40000] [--batch 1000]

The verb that the supervisor calls, with the batches it makes when it catches up, sockets rung, older points packed. To beat: 5,000 points/s
into PostgreSQL, 2,000 into SQLite. Writes bench/results/record_<database>.json.
"""

from __future__ import annotations

import argparse
import random
import time

from bench.common.report import write
from bench.load.scratch import installation, metric

GOALS = {"sqlite": 2000, "postgresql": 5000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=sorted(GOALS), default="sqlite")
    parser.add_argument("--points", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    with installation(options.database):
        seconds, packing = record(options.points, options.batch)
    rate = options.points / (seconds + packing)
    found = {"points": options.points, "batch": options.batch, "seconds": round(seconds, 2), "packing_seconds": round(packing, 2)}
    print(f"{options.database}: {rate:,.0f} points/s, packing included (goal {GOALS[options.database]:,})")
    write(f"record_{options.database}", {**found, "points_per_second": round(rate), "goal": GOALS[options.database]})


def record(points: int, batch: int) -> tuple[float, float]:
    """Seconds spent on recording and on packing."""
    from accounts.models import User
    from tests.factories import make_job
    from training.lease import Lease
    from training.services.pack_metrics import CHUNK, pack_metrics
    from training.services.record_events import record_events

    owner = User.objects.create_user("alice", "alice@example.org", "a-long-enough-passphrase")
    job = make_job(owner, status="running", attempt=1, lease_owner="bench")
    lease, noise = Lease(job.pk, 1, "bench"), random.Random(7)
    recording = packing = unpacked = 0.0
    for begin in range(0, points, batch):
        events = [
            {"kind": "metric", "time": 1.7e9 + step / 20, **metric(step, noise)} for step in range(begin + 1, begin + batch + 1)
        ]
        since = time.perf_counter()
        record_events(lease=lease, events=events, offset=begin + batch)
        recording += time.perf_counter() - since
        unpacked += batch
        if unpacked >= CHUNK:
            since, unpacked = time.perf_counter(), 0
            pack_metrics(job=job)
            packing += time.perf_counter() - since
    return recording, packing


if __name__ == "__main__":
    main()
