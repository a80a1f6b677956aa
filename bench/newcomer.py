"""A newcomer's path, timed: clone, set up, start, first account, sample model, data, first trained model, first answer.

    python -m bench.newcomer [--setup] [--index URL]

--setup installs every package into the clone (minutes, gigabytes), --index is TORCH_INDEX_URL for it; without, the clone borrows this
installation's packages. Everything after that is `make demo`. Writes bench/results/newcomer.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.common.fixtures import ROOT
from bench.common.report import workspace, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setup", action="store_true")
    parser.add_argument("--index", default="")
    options = parser.parse_args()
    with workspace() as name:
        folder = Path(name) / "aifinetune"
        times = {"clone": timed("git", "clone", "--quiet", str(ROOT), str(folder))}
        python = sys.executable
        if options.setup:
            times["set up"] = timed(
                "make", "-C", str(folder), "setup", *([f"TORCH_INDEX_URL={options.index}"] if options.index else [])
            )
            python = str(folder / ".venv/bin/python")
        report = Path(name) / "report.json"
        subprocess.run([python, "-m", "finetune.demo", "--report", str(report)], cwd=folder, check=True, env=_environment())
        stages = json.loads(report.read_text())
    times |= stages
    found = {"seconds": times, "all": round(sum(times.values()), 1), "from_start_to_answer": round(sum(stages.values()), 1)}
    print(json.dumps(found, indent=1))
    write("newcomer", found)


def timed(*command: str) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True)
    return round(time.monotonic() - began, 1)


def _environment() -> dict[str, str]:
    """As in a fresh terminal: nothing that names another installation."""
    return {name: value for name, value in os.environ.items() if name not in {"DATA_DIR", "PORT", "REDIS_URL", "DATABASE_URL"}}


if __name__ == "__main__":
    main()
