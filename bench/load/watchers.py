"""Many browsers watch one job: is every point delivered once, in order, how late, and what does the web process do meanwhile?

    python -m bench.load.watchers [--watchers 500] [--steps-per-second 20] [--seconds 60] [--database sqlite|postgresql]

The real road: an engine (a script that appends events as the engine does), the supervisor, the database, the ring, one web process, WebSockets.
Lateness is from the engine's own time stamp to the client's clock on the same machine. To beat: p99 of 250 ms, 70 % of a core.
Writes bench/results/watchers.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.common.report import ROOT, write
from bench.load.scratch import installation, web_process

BETWEEN = 100  # watchers that connect at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--steps-per-second", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--clients", nargs=4, metavar=("URL", "TOKEN", "WATCHERS", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clients:
        url, token, watchers, seconds = options.clients
        print("RESULT " + json.dumps(asyncio.run(watch(url, token, int(watchers), float(seconds)))))
        return
    with installation(options.database):
        found = measure(options.watchers, options.steps_per_second, options.seconds)
    print(found)
    asked = {"watchers": options.watchers, "steps_per_second": options.steps_per_second, "seconds": options.seconds}
    write("watchers", {"database": options.database, **asked, **found, "goal": {"p99_ms": 250, "web_cpu": 0.7}})


def measure(watchers: int, rate: float, seconds: float) -> dict[str, Any]:
    """Run it all; the clients are a process of their own, so that they don't slow the web process down."""
    from rest_framework_simplejwt.tokens import AccessToken

    job, follow = _running_job(rate, seconds)
    with web_process() as web:
        token = str(AccessToken.for_user(job.owner))
        address = f"{web.url.replace('http', 'ws', 1)}/ws/training/{job.pk}"
        command = [sys.executable, "-m", "bench.load.watchers", "--clients", address, token, str(watchers), str(seconds)]
        clients = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert clients.stdout
        assert clients.stdout.readline().startswith("CONNECTED")
        busy, since = web.cpu_seconds(), time.monotonic()
        engine = threading.Thread(target=follow)
        engine.start()
        engine.join()
        share = (web.cpu_seconds() - busy) / (time.monotonic() - since)
        told = next(line for line in clients.stdout if line.startswith("RESULT "))
        clients.wait()
        return {"web_cpu": round(share, 3), "web_rss_mb": web.rss_mb(), **json.loads(told.removeprefix("RESULT "))}


def _running_job(rate: float, seconds: float) -> tuple[Any, Any]:
    """A queued job whose engine makes a step so often, and the function that follows it to its end."""
    from accounts.models import User
    from tests.training.conftest import make_queued
    from tests.training.scripted import Scripted
    from training import supervisor
    from training.executors import EXECUTORS
    from training.services.claim_job import claim_job

    EXECUTORS["scripted"] = "tests.training.scripted.Scripted"
    Scripted.script = {"total": int(rate * seconds), "seconds": 1 / rate}
    job = make_queued(User.objects.create_user("alice", "alice@example.org", "a-long-enough-passphrase"))

    def follow() -> None:
        claimed = claim_job(executor="scripted")
        assert claimed
        supervisor.follow(*claimed, stop=threading.Event())

    return job, follow


async def watch(url: str, token: str, watchers: int, seconds: float) -> dict[str, Any]:
    """Connect everybody, say so, read until each has seen the end; what they got."""
    from websockets.asyncio.client import connect

    sockets: list[Any] = []
    for begin in range(0, watchers, BETWEEN):
        batch = range(begin, min(begin + BETWEEN, watchers))
        opened = [connect(f"{url}?token={token}", open_timeout=60, compression=None, max_size=None) for _ in batch]
        sockets += await asyncio.gather(*opened)
    print("CONNECTED", flush=True)
    late: list[float] = []
    async with asyncio.timeout(seconds + 120):
        seen = await asyncio.gather(*(_read(socket, late) for socket in sockets))
    late.sort()
    whole = sum(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
    return {
        "watchers_with_every_event_once_in_order": whole,
        "events_each": len(seen[0]),
        "points_delivered": len(late),
        "p50_ms": round(1000 * late[len(late) // 2]),
        "p99_ms": round(1000 * late[int(len(late) * 0.99)]),
        "worst_ms": round(1000 * late[-1]),
        "clients_cpu_seconds": round(time.process_time(), 1),
    }


async def _read(socket: Any, late: list[float]) -> list[int]:
    """The numbers of the events until the job has ended."""
    seen: list[int] = []
    async for text in socket:
        now, (numbers, times, ended) = time.time(), _told(text)
        seen += numbers
        late += [now - made for made in times]
        if ended:
            await socket.close()
            break
    return seen


@lru_cache(maxsize=1000)
def _told(text: str) -> tuple[list[int], list[float], bool]:
    """Of a message: the numbers of its events, when its points were made, and whether the job has ended. Most watchers get the same."""
    numbers, times, ended = [], [], False
    for event in json.loads(text).get("events") or []:
        numbers.append(event["seq"])
        if event["kind"] == "metric":
            times.append(datetime.fromisoformat(event["time"]).timestamp())
        ended = ended or (event["kind"] == "status" and event["status"] in ("succeeded", "failed", "cancelled"))
    return numbers, times, ended


if __name__ == "__main__":
    os.chdir(Path(ROOT))
    main()
