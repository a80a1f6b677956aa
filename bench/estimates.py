"""Estimates against real runs of the engine: peak memory and seconds, over models × methods × lengths × batches.

    python -m bench.estimates [--steps 24] [--only m20/lora/512/4] [--again]

--again keeps what was measured and only foresees anew, after a change to the formulas.

Every run is a cold process of its own, so its peak resident memory is its own, and one pass over as many rows as its steps take,
so that its tokens are no matter of chance. Writes bench/results/estimates.json and prints the table of docs/estimates.md. Seconds
depend on who else uses the machine; the report says how busy it was.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.common.fixtures import ROOT, make_model, write_pairs, write_rows
from bench.common.report import RESULTS, workspace, write
from training.calibration import Count, Timing, pace_of, token_ratio
from training.devices import list_devices
from training.engine.plans import Forecast, device_of, forecast
from training.engine.rundir import RunDir, read_events
from training.engine.shapes import read_shape
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec, check_config
from training.row_lengths import labelled_share, sample_rows

MODELS, METHODS, LENGTHS, BATCHES = ("tiny", "m20"), ("lora", "sft"), (128, 512), (1, 4)
EXTRA = ({"gradient_checkpointing": True}, {"bf16": False}, {"gradient_accumulation_steps": 2}, {"label_smoothing_factor": 0.1})
# Preference methods, and what learns beside the base or instead of it.
PAIRED = (("dpo", "lora"), ("dpo", "none"), ("dpo", "qlora"), ("orpo", "lora"), ("kto", "lora"))
STORED = RESULTS / "estimates.json"
MEASURED = ("peak_bytes", "tokens", "seconds", "first_seconds")
NEAR = 0.25  # how far off the seconds may be after similar runs
Foresee = Callable[..., Forecast]  # of a run's rows, with `token_ratio`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--only", default="", help="model/method/length/batch")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    stored = json.loads(STORED.read_text()) if options.again else {"runs": [], "steps": options.steps}
    known, steps = {item["run"]: item for item in stored["runs"]}, stored["steps"]
    runs: list[Run] = []
    with workspace() as folder:
        for case in cases():
            if options.only in name_of(case) and (name_of(case) in known or not options.again):
                runs.append(measure(Path(folder), case, steps, known.get(name_of(case))))
                store(steps, [run.result for run in runs], options)
        results = calibrated(runs)
    store(steps, results, options)
    print(table(results))
    print(json.dumps(summary(results), indent=1))


def store(steps: int, results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Keep them, unless they are a part of the whole."""
    if not options.only:
        write("estimates", {"steps": steps, "runs": results, "summary": summary(results)})


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


@dataclass(frozen=True)
class Run:
    """What a run measured beside what was foreseen for it, and how to foresee it anew."""

    kind: tuple[str, ...]  # model, method and what learns
    steps: int
    rows: int
    result: dict[str, Any]
    foresee: Foresee

    @functools.cached_property
    def timing(self) -> Timing:
        found = self.foresee(token_ratio=self.result["tokens"] / self.result["expected_tokens"])
        seconds, first = self.result["seconds"], self.result["first_seconds"]
        return Timing(found.computing_seconds, found.layer_seconds, seconds, self.steps, 1, first)

    @property
    def count(self) -> Count:
        return Count(self.result["tokens"], self.result["expected_tokens"], self.rows, self.rows)


def measure(folder: Path, case: dict[str, Any], steps: int, known: dict[str, Any] | None) -> Run:
    """One run, or what is `known` of it, and what was foreseen."""
    lines, rows = rows_of(case, steps)
    path = (write_pairs if "adapter" in case else write_rows)(folder / f"{kind_of(case)}-{lines}.parquet", lines)
    model = make_model(case["model"], folder / case["model"])
    values = {key: value for key, value in case.items() if key not in {"model", "method"}}
    once = {"num_train_epochs": 1.0, "eval_fraction": 0, "save_steps": 10_000}
    config = Config(**check_config(case["method"], values | once))
    foresee = functools.partial(foreseen, case, config, model, path, rows)
    numbers = {key: known[key] for key in MEASURED} if known else run_engine(folder, case, config, model, path)
    result = {"run": name_of(case), **numbers, **said(foresee())}
    result["memory_error"] = round(result["expected_bytes"] / result["peak_bytes"] - 1, 3)
    print(
        f"{result['run']:>40} {result['expected_bytes'] >> 20:>6} MiB foreseen {result['peak_bytes'] >> 20:>6} MiB measured",
        flush=True,
    )
    return Run((case["model"], case["method"], case.get("adapter", "")), steps, rows, result, foresee)


def rows_of(case: dict[str, Any], steps: int) -> tuple[int, int]:
    """Lines of the file and rows that are learned in so many steps; each pair of lines is two rows to kto."""
    rows = steps * case["per_device_train_batch_size"] * case.get("gradient_accumulation_steps", 1)
    return (rows // 2 if case["method"] == "kto" else rows), rows


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
    """Peak memory, tokens and training seconds as the engine's events tell them, those of the first step by themselves too."""
    events = [event for event, _ in read_events(run.events_file, limit=1 << 28)]
    points = [event for event in events if event["kind"] == "metric" and event["split"] == "train"]
    return {
        "peak_bytes": max(event["peak_bytes"] for event in events if event["kind"] == "memory"),
        "tokens": int(points[-1]["values"]["num_tokens"]),
        "seconds": round(points[-1]["elapsed_seconds"], 3),
        "first_seconds": round(points[0]["elapsed_seconds"], 3),
    }


def foreseen(
    case: dict[str, Any], config: Config, model: Path, path: Path, rows: int, *, token_ratio: float = 1.0
) -> Forecast:  # fmt: skip
    """What the platform would have said before, had it known that there are so many times more tokens than their bytes tell."""
    shape, sample = read_shape(model), sample_rows(path, kind_of(case))
    processor = list_devices()[-1]
    return forecast(
        shape, case["method"], config, device_of(processor.kind, processor.name, processor.bf16),
        lengths=[max(2, round(length * token_ratio)) for length in sample.lengths(shape.vocab)], rows=rows, eval_rows=0,
        labelled=labelled_share(case["method"], sample, config), shared=sample.shared, cores=os.cpu_count() or 1,
    )  # fmt: skip


def said(found: Forecast) -> dict[str, Any]:
    return {
        "expected_bytes": found.memory.expected,
        "low_bytes": found.memory.low,
        "high_bytes": found.memory.high,
        "parts": vars(found.memory.parts),
        "expected_tokens": found.work.tokens,
        "expected_seconds": round(found.training_seconds, 3),
    }


def calibrated(runs: list[Run]) -> list[dict[str, Any]]:
    """The results, each with the seconds that the platform would say after the other runs: those of the same model and method where
    there are such, else all of them; and `unlike_seconds` as if there were none such."""
    results = []
    for run in runs:
        similar = [other for other in runs if other is not run and other.kind == run.kind]
        unlike = [other for other in runs if other.kind != run.kind]
        seconds = {"calibrated_seconds": after(run, similar, True)} if similar else {}
        seconds |= {"unlike_seconds": after(run, unlike, False)} if unlike else {}
        results.append(run.result | seconds)
    return results


def after(run: Run, others: list[Run], similar: bool) -> float:
    """Seconds of a run, corrected by others."""
    found = run.foresee(token_ratio=token_ratio([other.count for other in others]) if similar else 1.0)
    pace = pace_of([other.timing for other in others], similar=similar)
    return round(pace.seconds(found.computing_seconds, found.layer_seconds), 3)


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """How far off, over all runs."""
    memory = [abs(result["memory_error"]) for result in results]
    similar, unlike = (errors(results, name) for name in ("calibrated_seconds", "unlike_seconds"))
    return {
        "memory_error_median": round(statistics.median(memory), 3),
        "memory_error_largest": max(memory),
        "memory_inside_range": sum(result["low_bytes"] <= result["peak_bytes"] <= result["high_bytes"] for result in results),
        "runs": len(results),
        "after_similar_runs": nearness(similar),
        "after_other_runs": nearness(unlike),
    }


def errors(results: list[dict[str, Any]], name: str) -> list[float]:
    return [abs(result[name] / result["seconds"] - 1) for result in results if name in result]


def nearness(found: list[float]) -> dict[str, Any]:
    """Of errors: how large they are and how many are small enough."""
    if not found:
        return {"runs": 0}
    return {"runs": len(found), "near": sum(error <= NEAR for error in found), "median": round(statistics.median(found), 3)}


def cell(item: dict[str, Any], name: str) -> str:
    return f"{item[name]:.1f}" if name in item else ""


def table(results: list[dict[str, Any]]) -> str:
    head = [
        "| run | foreseen MiB | measured MiB | off | foreseen s | after other runs s | after similar runs s | measured s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows = (
        f"| {item['run']} | {item['expected_bytes'] >> 20:,} ({item['low_bytes'] >> 20:,}–{item['high_bytes'] >> 20:,}) "
        f"| {item['peak_bytes'] >> 20:,} | {item['memory_error']:+.0%} | {item['expected_seconds']:.1f} "
        f"| {cell(item, 'unlike_seconds')} | {cell(item, 'calibrated_seconds')} | {item['seconds']:.1f} |"
        for item in results
    )
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    main()
