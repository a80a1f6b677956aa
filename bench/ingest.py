"""How fast a large file of chats becomes checked rows: ours against datasets.load_dataset("json") alone, on the same file.

    python -m bench.ingest [--megabytes 100 1000] [--trials 3] [--memory 4000] [--doctor 300]

Each trial is a fresh process, by turns, with its imports done before the clock starts. `ours` reads, recognises, checks every line as
JSON and every row by the rules of its format (formats/: roles, turns, empty texts, types, double keys, encodings) and writes Parquet, and
after that a dataset is ready; `datasets` parses into an Arrow table and checks nothing. `--memory` only looks at the peak of `ours` for a
file of that size, `--doctor` at what its second pass takes (doctor/: texts, duplicates, secrets). Results: bench/results/ingest.json.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .common.fixtures import ROOT
from .common.report import workspace, write

WORDS = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="sizes of which only the peak memory is looked at")
    parser.add_argument("--doctor", type=int, nargs="*", default=[], help="sizes of which the doctor's pass is looked at too")
    parser.add_argument("--trial", nargs=2, metavar=("VARIANT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trial:
        print("RESULT " + json.dumps(trial(*options.trial)), flush=True)
        return
    with workspace() as folder:
        sizes = [measure(Path(folder), size, options.trials) for size in options.megabytes]
        memory = [once(Path(folder), size, "ours") for size in options.memory]
        doctor = [once(Path(folder), size, "doctor") for size in options.doctor]
    write("ingest", {"trials": options.trials, "sizes": sizes, "memory": memory, "doctor": doctor})


def measure(folder: Path, megabytes: int, trials: int) -> dict[str, Any]:
    """Both by turns on a file of this size; the medians and their ratios."""
    variants = ("datasets", "ours")
    file = make_chats(folder / f"chats-{megabytes}.jsonl", megabytes)
    found: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for _ in range(trials):
        for variant in variants:
            found[variant].append(run(variant, file))
    summary = {variant: summed(results, file.stat().st_size) for variant, results in found.items()}
    file.unlink()
    clock, work = (round(summary["datasets"][name] / summary["ours"][name], 2) for name in ("seconds", "cpu_seconds"))
    print(f"{megabytes} MB: ours is {clock} times as fast as datasets, {work} times by CPU seconds", flush=True)
    return {"megabytes": megabytes, "variants": summary, "ours_over_datasets": clock, "by_cpu_seconds": work}


def once(folder: Path, megabytes: int, variant: str) -> dict[str, Any]:
    file = make_chats(folder / f"chats-{megabytes}.jsonl", megabytes)
    result = run(variant, file)
    file.unlink()
    return {"megabytes": megabytes, **result}


def make_chats(path: Path, megabytes: int) -> Path:
    """Conversations of one to three questions in made-up words, some with a system turn, quotes, line breaks and other scripts."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(WORDS)]
    size = 0
    with path.open("w") as file:
        while size < megabytes * 1000**2:
            line = json.dumps({"messages": turns(rng, words)}, ensure_ascii=False) + "\n"
            file.write(line)
            size += len(line)
    return path


def turns(rng: random.Random, words: list[str]) -> list[dict[str, str]]:
    def said(low: int, high: int) -> str:
        text = " ".join(rng.choices(words, k=rng.randint(low, high)))
        return text.replace(" ", "\n", 2) + ' "so" é中' if rng.random() < 0.15 else text

    found = [{"role": "system", "content": said(5, 20)}] if rng.random() < 0.3 else []
    for _ in range(rng.choice([1, 1, 2, 3])):
        found += [{"role": "user", "content": said(5, 60)}, {"role": "assistant", "content": said(20, 150)}]
    return found


def run(variant: str, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.ingest", "--trial", variant, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise SystemExit(f"{variant} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    print(f"{variant:>9} {result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s, {result['peak_mb']} MB", flush=True)
    return result


def trial(variant: str, path: str) -> dict[str, Any]:
    """One pass over the file in this process."""
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as scratch:
        prepared = (_datasets if variant == "datasets" else _ours)(path, Path(scratch), variant == "doctor")
        began, cpu = time.perf_counter(), time.process_time()
        rows = prepared()
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return {"rows": rows, "seconds": round(seconds, 4), "cpu_seconds": round(used, 4), "peak_mb": _peak_mb()}


def _datasets(path: str, scratch: Path, doctor: bool) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return lambda: len(datasets.load_dataset("json", data_files=path, cache_dir=str(scratch), split="train"))


def _ours(path: str, scratch: Path, doctor: bool) -> Any:
    import pandas  # noqa: F401 - PyArrow loads it at the first array; the other side has it from the beginning
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - a worker has these loaded, as the other side has its own

    from datasets_app.doctor.examination import examine
    from datasets_app.formats.convert import convert
    from datasets_app.formats.problemindex import ProblemIndex
    from datasets_app.formats.rowsfile import pack
    from datasets_app.formats.source import Source

    def read() -> int:
        index, rows = ProblemIndex(scratch / "problems"), scratch / "rows.parquet"
        with Source(Path(path)) as source:
            outcome = convert(source, rows, {}, lambda done, total: None, index, packed=False)
        if doctor:
            examine(rows, outcome.kind, outcome.problems, list(outcome.unusable), lambda done, total: None)
            pack(rows, scratch / "packed.parquet")
        index.close()
        return outcome.valid_rows

    return read


def _peak_mb() -> int:
    """The kernel's high-water mark of this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def summed(results: list[dict[str, Any]], size: int) -> dict[str, Any]:
    seconds = statistics.median(result["seconds"] for result in results)
    return {
        "rows": results[0]["rows"],
        "seconds": seconds,
        "lowest": min(result["seconds"] for result in results),
        "highest": max(result["seconds"] for result in results),
        "cpu_seconds": statistics.median(result["cpu_seconds"] for result in results),
        "megabytes_per_second": round(size / 1000**2 / seconds, 1),
        "peak_mb": max(result["peak_mb"] for result in results),
    }


if __name__ == "__main__":
    main()
