"""From Start to the first step: warm (forked from the fork server) and cold, on the tiny model.

    python -m bench.first_step [--rounds 3]

The cold start is compared with what importing the training stack alone takes. Writes bench/results/first_step.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.common.fixtures import ROOT, make_model, write_rows
from bench.common.report import workspace, write
from training.engine.launch import server_ready, start, start_server
from training.engine.rundir import RunDir, read_events
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec, check_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with workspace() as name:
        folder = Path(name)
        make_model("tiny", folder / "tiny")
        write_rows(folder / "rows.parquet", 200)
        imports = [import_seconds() for _ in range(options.rounds)]
        cold = [first_step(folder, f"cold{turn}", None) for turn in range(options.rounds)]
        socket = folder / "s.sock"
        server = start_server(socket)
        while not server_ready(socket):
            time.sleep(0.05)
        warm = [first_step(folder, f"warm{turn}", socket) for turn in range(options.rounds)]
        server.communicate()
    found = {
        "warm_seconds": statistics.median(made["first_step"] for made in warm),
        "cold_seconds": statistics.median(made["first_step"] for made in cold),
        "import_seconds": round(statistics.median(imports), 2),
        "warm": warm,
        "cold": cold,
    }
    found["cold_over_imports"] = round(found["cold_seconds"] / found["import_seconds"], 2)
    print(json.dumps(found, indent=1))
    write("first_step", found)


def import_seconds() -> float:
    """What a process needs that only imports the training stack."""
    began = time.perf_counter()
    code = "from training.engine import run, warm; run.prepare_environment(); warm.import_stack()"
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return time.perf_counter() - began


def first_step(folder: Path, name: str, socket: Path | None) -> dict[str, float]:
    """Seconds from Start to the first phase, to `started`, and to the first point of the curve (with the evaluation before it)."""
    run = RunDir(folder / name)
    config = Config(**check_config("lora", {"max_steps": 3, "max_length": 512}))
    run.write_spec(
        TrainingSpec(
            method="lora",
            model=ModelRef(path=str(folder / "tiny")),
            data=DataRef(train=str(folder / "rows.parquet")),
            config=config,
        )
    )
    began = time.time()
    start(run.path, socket, {"PYTHONPATH": str(ROOT)})
    while not run.exit_file.exists():
        time.sleep(0.02)
    events = [event for event, _ in read_events(run.events_file)]
    if events[-1].get("outcome") != "succeeded":
        raise SystemExit(f"{name} failed: {events[-1]}")

    def at(kind: str, **values: str) -> float:
        found = (event for event in events if event["kind"] == kind and all(event[key] == value for key, value in values.items()))
        return round(next(found)["time"] - began, 3)

    return {
        "preparing": at("phase"),
        "started": at("started"),
        "evaluated": at("metric", split="eval"),
        "first_step": at("metric", split="train"),
    }


if __name__ == "__main__":
    main()
