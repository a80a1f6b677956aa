"""Many people look around and upload, in an installation that has been used for years: is every page there, and how soon?

    python -m bench.load.browse [--people 200] [--seconds 300] [--jobs 100000] [--database postgresql|sqlite]

One web process and one general worker, as in production, on 10,000 datasets, 100,000 jobs and 50 million points (made in bulk, in some
minutes). To beat: no error, 150 ms for 95 of 100 pages. Writes bench/results/browse.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from bench.common.report import write
from bench.load.scratch import general_worker, installation, spread, web_process
from bench.load.visitor import let_browse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--jobs", type=int, default=100_000, help="with a tenth as many datasets and 500 times as many points")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    options = parser.parse_args()
    with installation(options.database) as folder:
        from bench.load import crowd

        datasets, begun = options.jobs // 10, time.monotonic()
        people = crowd.fill(datasets, options.jobs)
        there = {"datasets": datasets, "jobs": options.jobs, "points": crowd.points()}
        print(f"Made in {time.monotonic() - begun:.0f} s: {there}", flush=True)
        file = folder / "people.jsonl"
        file.write_text("".join(json.dumps(crowd.possessions(person)) + "\n" for person in people[: options.people]))
        found = measure(file, options.seconds)
    _show(found)
    asked = {"database": options.database, "people": options.people, "seconds": options.seconds, "there": there}
    write("browse", {**asked, **found, "goal": {"errors": 0, "pages_p95_ms": 150}})


def measure(people: Path, seconds: float) -> dict[str, Any]:
    """Let them browse; times of pages and of what their scripts ask for, by route."""
    with web_process() as web, general_worker():
        busy, since = web.cpu_seconds(), time.monotonic()
        told = let_browse(web.url, people, seconds)
        share = (web.cpu_seconds() - busy) / (time.monotonic() - since)
        pages = [time for times in told["pages"].values() for time in times]
        return {
            "errors": len(told["errors"]), "first_errors": told["errors"][:10], "all_pages": spread(pages),
            "pages_a_second": round(len(pages) / seconds, 1), "web_cpu": round(share, 3), "web_rss_mb": web.rss_mb(),
            "pages": {route: spread(times) for route, times in sorted(told["pages"].items())},
            "others": {route: spread(times) for route, times in sorted(told["others"].items())},
        }  # fmt: skip


def _show(found: dict[str, Any]) -> None:
    for group in ("pages", "others"):
        for route, numbers in found[group].items():
            print(f"{route:28} {numbers}")
    print({name: value for name, value in found.items() if name not in ("pages", "others")})


if __name__ == "__main__":
    main()
