"""How fast a dataset's tokens are counted with the model's own tokenizer, and what the doctor costs: python -m bench.statistics.

One core at a time (RAYON_NUM_THREADS=1), so that the numbers are per core. Writes bench/results/statistics.json.
"""

from __future__ import annotations

import os

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # before tokenizers is loaded

import json
import time
from pathlib import Path

from bench.common import fixtures, report
from datasets_app.doctor.examination import examine
from datasets_app.doctor.tokens import TokenPass
from datasets_app.formats.convert import convert
from datasets_app.formats.problems import Problems
from datasets_app.formats.source import Source
from training.engine.rowtokens import RowTokens

ROWS, REPEATS = 1000, 20  # the conversations, each so often with a number that makes it another row
TRIALS = 3


def main() -> None:
    with report.workspace() as folder:
        path = Path(folder)
        fixtures._tokenizer().save_pretrained(path / "tokenizer")
        _write(path / "rows.jsonl")
        plain, examined = _read(path), _examine(path)
        counted = [_count(path) for _ in range(TRIALS)]
    best = max(counted, key=lambda trial: trial["tokens_per_cpu_second"])
    report.write("statistics", {"reading": plain, "doctor": examined, "counting": best, "trials": counted})
    print(json.dumps({"reading": plain, "doctor": examined, "counting": best}, indent=2))


def _write(path: Path) -> None:
    with path.open("w") as file:
        for number in range(REPEATS):
            for messages in fixtures.conversations(ROWS):
                told = [{**message, "content": f"{message['content']} {number}"} for message in messages]
                file.write(json.dumps({"messages": told}) + "\n")


def _read(folder: Path) -> dict[str, float]:
    """The pass that reads, checks and stores the file."""
    cpu = time.process_time()
    with Source(folder / "rows.jsonl") as source:
        outcome = convert(source, folder / "rows.parquet", {}, lambda done, total: None)
    return _rate(folder, outcome.rows, time.process_time() - cpu)


def _examine(folder: Path) -> dict[str, float]:
    """The doctor's pass over the stored rows; megabytes are those of the file that was read."""
    cpu = time.process_time()
    found = examine(folder / "rows.parquet", "sft", Problems(), [], lambda done, total: None)
    return _rate(folder, found["tokens"]["count"], time.process_time() - cpu)


def _rate(folder: Path, rows: int, seconds: float) -> dict[str, float]:
    size = (folder / "rows.jsonl").stat().st_size
    return {"rows": rows, "cpu_seconds": round(seconds, 2), "mb_per_cpu_second": round(size / 1e6 / seconds, 2)}


def _count(folder: Path) -> dict[str, float]:
    """Tokens of all rows, rendered through the chat template."""
    counted = TokenPass(RowTokens(folder / "tokenizer"), "sft")
    cpu, wall = time.process_time(), time.perf_counter()
    counted.run(folder / "rows.parquet", lambda done, total: None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    tokens = counted.statistics()["tokens"]["total"]
    return {
        "tokens": tokens,
        "cpu_seconds": round(cpu, 2),
        "tokens_per_cpu_second": round(tokens / cpu),
        "tokens_per_second": round(tokens / wall),
    }


if __name__ == "__main__":
    main()
