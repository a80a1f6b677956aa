"""How much throughput is left while another process keeps one core busy, by turns with and without it.

    python bench/busy_core.py [--model m20] [--steps 8] [--rounds 3]

`spinning` is how OpenMP's threads wait when nobody tells them otherwise. Writes bench/results/busy_core.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common.report import Bench, summary, workspace, write

# libgomp's own number of turns where it is free to choose.
WAITING: dict[str, dict[str, str]] = {"ours": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}


@contextlib.contextmanager
def busy_core(really: bool) -> Iterator[None]:
    """A process that does nothing but occupy one core."""
    if not really:
        yield
        return
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    code = "import os, sys\nif sys.argv[1] != 'None': os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code, str(core)])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="m20")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trials: dict[str, list[dict[str, Any]]] = {f"{name} {state}": [] for name in WAITING for state in ("alone", "beside")}
    with workspace() as folder:
        bench = Bench(Path(folder))
        for _ in range(options.rounds):
            for name, environment in WAITING.items():
                for state in ("alone", "beside"):
                    with busy_core(state == "beside"):
                        made = bench.trial("ours", options.model, options.steps, environment)
                    trials[f"{name} {state}"].append(made)
    found = {name: summary(made) for name, made in trials.items()}
    left = {
        name: round(found[f"{name} beside"]["tokens_per_second"] / found[f"{name} alone"]["tokens_per_second"], 3)
        for name in WAITING
    }
    print(f"left beside a busy core: {left}")
    write("busy_core", {"model": options.model, "steps": options.steps, "variants": found, "share_left": left})


if __name__ == "__main__":
    main()
