"""How long a job of very many steps takes to open, and how many bytes a point takes.

    python -m bench.load.open_job [--database sqlite|postgresql] [--steps 1000000]

The points are made in bulk and packed by the product; then the requests that the job's page makes are timed through the whole of
Django. To beat: 300 ms, 100 bytes. Writes bench/results/open_job_<database>.json.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.common.report import write
from bench.load.scratch import installation, metric

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()
    with installation(options.database):
        job = fill(options.steps)
        found = {"steps": options.steps, "bytes_per_point": size(job, options.steps), **timed(job)}
    print(found)
    write(f"open_job_{options.database}", {**found, "goal": {"milliseconds": 300, "bytes_per_point": 100}})


def fill(steps: int) -> Any:
    """A finished job with so many points, all packed as when it ends."""
    from accounts.models import User
    from tests.factories import make_job
    from training.models import JobEvent, TrainingJob
    from training.services.pack_metrics import CHUNK, pack_metrics

    owner = User.objects.create_user("alice", "alice@example.org", "a-long-enough-passphrase")
    job, noise = make_job(owner, status="running", attempt=1), random.Random(7)
    for begin in range(0, steps, CHUNK):
        rows = [_row(job, step, noise) for step in range(begin + 1, min(begin + CHUNK, steps) + 1)]
        JobEvent.objects.bulk_create(rows, batch_size=500)
        pack_metrics(job=job, to_the_end=True)
    progress = {"step": steps, "total_steps": steps, "fraction": 1.0}
    TrainingJob.objects.filter(pk=job.pk).update(last_seq=steps, status="succeeded", progress=progress)
    job.refresh_from_db()
    return job


def _row(job: Any, step: int, noise: random.Random) -> Any:
    from training.models import JobEvent

    when = BEGIN + timedelta(seconds=step / 20, microseconds=noise.randrange(3000))
    return JobEvent(job=job, seq=step, attempt=1, kind=JobEvent.Kind.METRIC, time=when, payload=metric(step, noise))


def size(job: Any, steps: int) -> float:
    """Bytes a point: of chunks with their sketches, and of the rows that are left as their JSON and 100 bytes for the rest."""
    import json

    from training.models import JobEvent, MetricChunk

    packed = sum(len(points) + len(sketch) for points, sketch in MetricChunk.objects.values_list("points", "sketch").iterator())
    rows = sum(len(json.dumps(payload)) + 100 for payload in JobEvent.objects.values_list("payload", flat=True).iterator())
    return round((packed + rows) / steps, 1)


def timed(job: Any, times: int = 7) -> dict[str, Any]:
    """Medians in milliseconds of what a browser asks for when it opens the job."""
    from django.test import Client

    client = Client()
    client.force_login(job.owner)
    asked = {
        "page": f"/training/{job.pk}", "curve": f"/api/training/{job.pk}/metrics?after=0&max_points=2000",
        "status": f"/api/training/{job.pk}/status", "newest_events": f"/api/training/{job.pk}/events?after={job.last_seq}",
        "another_value": f"/api/training/{job.pk}/metrics?max_points=2000&keys=grad_norm",
    }  # fmt: skip
    return {
        f"{name}_ms": round(statistics.median(_milliseconds(client, path) for _ in range(times))) for name, path in asked.items()
    }


def _milliseconds(client: Any, path: str) -> float:
    begun = time.perf_counter()
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    assert answer.content
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
