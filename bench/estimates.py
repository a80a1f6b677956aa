"""Estimates against real runs of the engine: peak memory and seconds, over models × methods × lengths × batches.

    python -m bench.estimates [--steps 24] [--only m20/lora/512/4] [--again]

--again keeps what was measured and only foresees anew, after a change to the formulas.

Every run is a cold process of its own, so its peak resident memory is its own. Writes bench/results/estimates.json and
prints the table of docs/estimates.md. Seconds depend on who else uses the machine; the report says how busy it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.common.fixtures import ROOT, make_model, write_pairs, write_rows
from bench.common.report import RESULTS, workspace, write
from training.devices import list_devices
from training.engine.plans import device_of, forecast
from training.engine.rundir import RunDir, read_events
from training.engine.shapes import read_shape
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec, check_config
from training.row_lengths import labelled_share, sample_rows

MODELS, METHODS, LENGTHS, BATCHES = ("tiny", "m20"), ("lora", "sft"), (128, 512), (1, 4)
EXTRA = ({"gradient_checkpointing": True}, {"bf16": False}, {"gradient_accumulation_steps": 2}, {"label_smoothing_factor": 0.1})
# Preference methods, and what learns beside the base or instead of it.
PAIRED = (("dpo", "lora"), ("dpo", "none"), ("dpo", "qlora"), ("orpo", "lora"), ("kto", "lora"))
ROWS = 400
STORED = RESULTS / "estimates.json"
MEASURED = ("peak_bytes", "tokens", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--only", default="", help="model/method/length/batch")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    stored = json.loads(STORED.read_text()) if options.again else {"runs": [], "steps": options.steps}
    known, steps = {item["run"]: item for item in stored["runs"]}, stored["steps"]
    results: list[dict[str, Any]] = []
    with workspace() as folder:
        for case in cases():
            if options.only in name_of(case) and (name_of(case) in known or not options.again):
                results.append(measure(Path(folder), case, steps, known.get(name_of(case))))
                if not options.only:
                    leave_one_out(results)
                    write("estimates", {"steps": steps, "runs": results, "summary": summary(results)})
    leave_one_out(results)
    print(table(results))


def cases() -> list[dict[str, Any]]:
    """Every combination, and m20 with the options that change what is kept."""
    plain = [
        {"model": model, "method": method, "max_length": length, "per_device_train_batch_size": batch}
        for model, method, length, batch in itertools.product(MODELS, METHODS, LENGTHS, BATCHES)
    ]
    large = [
        case for case in plain if case["model"] == "m20" and case["max_length"] == 512 and case["per_device_train_batch_size"] == 4
    ]
    shape = {"model": "m20", "max_length": 512, "per_device_train_batch_size": 4}
    quantised = [shape | {"method": "qlora"}]
    paired = [shape | {"method": method, "adapter": adapter} for method, adapter in PAIRED]
    return plain + [case | extra for case in large for extra in EXTRA] + quantised + paired


def name_of(case: dict[str, Any]) -> str:
    extra = [key for key in case if key in {name for option in EXTRA for name in option}]
    extra += [case["adapter"]] if "adapter" in case else []
    return "/".join([str(case[key]) for key in ("model", "method", "max_length", "per_device_train_batch_size")] + extra)


def kind_of(case: dict[str, Any]) -> str:
    return "preference" if "adapter" in case else "sft"


def measure(folder: Path, case: dict[str, Any], steps: int, known: dict[str, Any] | None) -> dict[str, Any]:
    """One run, or what is `known` of it, and what was foreseen."""
    paired = "adapter" in case
    rows = (write_pairs if paired else write_rows)(folder / f"{'pairs' if paired else 'rows'}.parquet", ROWS)
    model = make_model(case["model"], folder / case["model"])
    values = {key: value for key, value in case.items() if key not in {"model", "method"}}
    config = Config(**check_config(case["method"], values | {"max_steps": steps, "eval_fraction": 0, "save_steps": 10_000}))
    numbers = {key: known[key] for key in MEASURED} if known else run_engine(folder, case, config, model, rows)
    result = {"run": name_of(case), **numbers, **foreseen(case, config, model, rows)}
    result["memory_error"] = round(result["expected_bytes"] / result["peak_bytes"] - 1, 3)
    print(
        f"{result['run']:>40} {result['expected_bytes'] >> 20:>6} MiB foreseen {result['peak_bytes'] >> 20:>6} MiB measured",
        flush=True,
    )
    return result


def run_engine(folder: Path, case: dict[str, Any], config: Config, model: Path, rows: Path) -> dict[str, Any]:
    """The engine itself, in a fresh process."""
    run = RunDir(folder / name_of(case).replace("/", "-"))
    run.write_spec(
        TrainingSpec(
            method=case["method"], model=ModelRef(path=str(model)), data=DataRef(train=str(rows), kind=kind_of(case)), config=config
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "training.engine", "run", str(run.path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name_of(case)} failed:\n{done.stderr[-3000:]}")
    return actual(run)


def actual(run: RunDir) -> dict[str, Any]:
    """Peak memory, tokens and training seconds as the engine's events tell them; the first step is warm-up and left out."""
    events = [event for event, _ in read_events(run.events_file, limit=1 << 28)]
    points = [event for event in events if event["kind"] == "metric" and event["split"] == "train"]
    seconds = points[-1]["elapsed_seconds"] - points[0]["elapsed_seconds"]
    return {
        "peak_bytes": max(event["peak_bytes"] for event in events if event["kind"] == "memory"),
        "tokens": int(points[-1]["values"]["num_tokens"]),
        "seconds": round(seconds * len(points) / (len(points) - 1), 3),
    }


def foreseen(case: dict[str, Any], config: Config, model: Path, rows: Path) -> dict[str, Any]:
    """What the platform would have said before."""
    shape, sample = read_shape(model), sample_rows(rows, kind_of(case))
    processor = list_devices()[-1]
    found = forecast(
        shape, case["method"], config, device_of(processor.kind, processor.name, processor.bf16),
        lengths=sample.lengths(shape.vocab), rows=ROWS * (2 if case["method"] == "kto" else 1), eval_rows=0,
        labelled=labelled_share(case["method"], sample, config), shared=sample.shared, cores=os.cpu_count() or 1,
    )  # fmt: skip
    return {
        "expected_bytes": found.memory.expected,
        "low_bytes": found.memory.low,
        "high_bytes": found.memory.high,
        "parts": vars(found.memory.parts),
        "expected_tokens": found.work.tokens,
        "expected_seconds": round(found.training_seconds, 3),
    }


def leave_one_out(results: list[dict[str, Any]]) -> None:
    """Seconds after calibration: each run corrected by the median ratio of the other runs of the same model and method."""
    for result in results:
        kind = result["run"].split("/")[:2]
        others = [other for other in results if other is not result and other["run"].split("/")[:2] == kind]
        if others:
            ratio = statistics.median(other["seconds"] / other["expected_seconds"] for other in others)
            result["calibrated_seconds"] = round(ratio * result["expected_seconds"], 3)


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """How far off, over all runs."""
    memory = [abs(result["memory_error"]) for result in results]
    seconds = [abs(result["calibrated_seconds"] / result["seconds"] - 1) for result in results if "calibrated_seconds" in result]
    return {
        "memory_error_median": round(statistics.median(memory), 3),
        "memory_error_largest": max(memory),
        "memory_inside_range": sum(result["low_bytes"] <= result["peak_bytes"] <= result["high_bytes"] for result in results),
        "calibrated_seconds_error_median": round(statistics.median(seconds), 3) if seconds else None,
        "runs": len(results),
    }


def table(results: list[dict[str, Any]]) -> str:
    head = [
        "| run | foreseen MiB | measured MiB | off | foreseen s | after calibration s | measured s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    rows = (
        f"| {item['run']} | {item['expected_bytes'] >> 20:,} ({item['low_bytes'] >> 20:,}–{item['high_bytes'] >> 20:,}) "
        f"| {item['peak_bytes'] >> 20:,} | {item['memory_error']:+.0%} | {item['expected_seconds']:.1f} "
        f"| {item.get('calibrated_seconds', float('nan')):.1f} | {item['seconds']:.1f} |"
        for item in results
    )
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    main()
