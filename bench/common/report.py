"""Running trials by turns and writing what came out, with the machine it came out of."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .fixtures import ROOT, make_model, write_rows

RESULTS = ROOT / "bench" / "results"
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")

# LLaMA-Factory has an environment of its own; this variable names its interpreter.
PEER_PYTHON = "LLAMAFACTORY_PYTHON"
PEERS: dict[str, dict[str, Any]] = {
    "llamafactory": {},
    "llamafactory-fp32": {"disable_gradient_checkpointing": True},
    "llamafactory-bf16": {"bf16": True, "disable_gradient_checkpointing": True},
}


class Bench:
    """A folder with models, rows and their tokens, and the trials run in it."""

    TRIAL = "bench.common.trial"

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows = write_rows(folder / "rows.parquet")
        self._count = 0

    def model(self, size: str) -> Path:
        return make_model(size, self.folder / size)

    def tokens(self, size: str) -> Path:
        """The rows as the engine tokenises them: every variant trains on this file's content."""
        from transformers import AutoTokenizer

        from training.engine.data import prepare
        from training.engine.rundir import RunDir
        from training.engine.stopping import StopRequest

        path = self.folder / f"{size}.arrow"
        if not path.exists():
            tokenizer = AutoTokenizer.from_pretrained(self.model(size))
            stop = StopRequest(RunDir(self.folder))
            prepare(self.rows, path, tokenizer=tokenizer, kind="sft", max_length=512, assistant_only=True, stop=stop)
        return path

    def tokenized(self, size: str) -> Path:
        """The same tokens as LLaMA-Factory's `tokenized_path` wants them."""
        from datasets import Dataset, DatasetDict

        path = self.folder / f"{size}-tokenized"
        if not path.exists():
            rows = Dataset.from_file(str(self.tokens(size)))
            rows = rows.map(lambda row: {"attention_mask": [1] * len(row["input_ids"])}, load_from_cache_file=False)
            DatasetDict({"train": rows}).save_to_disk(str(path))
        return path

    def trial(self, variant: str, size: str, steps: int, environment: dict[str, str] | None = None) -> dict[str, Any]:
        """One run in a fresh process. `environment` is added to this process's."""
        self._count += 1
        work = self.folder / f"run{self._count}"
        request = {
            "variant": variant, "model": size, "steps": steps, "model_path": str(self.model(size)), "rows": str(self.rows),
            "tokens": str(self.tokens(size)), "work": str(work),
        }  # fmt: skip
        program = [sys.executable, "-m", self.TRIAL]
        if variant in PEERS:
            request |= {"tokenized": str(self.tokenized(size)), "settings": PEERS[variant]}
            program = [os.environ[PEER_PYTHON], str(ROOT / "bench" / "common" / "peer.py")]
        done = subprocess.run(
            [*program, json.dumps(request)],
            cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if done.returncode or not lines:
            raise SystemExit(f"{variant} on {size} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        result = json.loads(lines[-1].removeprefix("RESULT "))
        per_second, per_cpu = result["tokens_per_second"], result["tokens_per_cpu_second"]
        print(
            f"{variant:>14} {size:>5} {per_second:>8.0f} tokens/s {per_cpu:>8.0f} tokens/CPU s {result['peak_rss_mb']} MB",
            flush=True,
        )
        return result


def workspace() -> tempfile.TemporaryDirectory[str]:
    """A scratch folder for one benchmark, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="aift-bench-")


def median(trials: list[dict[str, Any]], key: str = "tokens_per_second") -> float:
    return float(statistics.median(trial[key] for trial in trials))


def summary(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the trials of one variant, with the spread of the throughput. CPU seconds tell the cost on a busy machine too."""
    rates = [trial["tokens_per_second"] for trial in trials]
    return {
        "tokens_per_second": median(trials),
        "lowest": min(rates),
        "highest": max(rates),
        "tokens_per_cpu_second": round(median(trials, "tokens_per_cpu_second"), 1),
        "peak_rss_mb": median(trials, "peak_rss_mb"),
        "first_step_seconds": median(trials, "first_step_seconds"),
        "first_loss": trials[0]["losses"][0],
        "last_loss": trials[0]["losses"][-1],
        "trials": len(trials),
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """bench/results/<name>.json with the machine's description."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({"made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine()} | content, indent=2) + "\n"
    )
    print(f"written: {path.relative_to(ROOT)}")
    return path


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import psutil
    import torch

    from training.engine.model import find_device

    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "native_bf16": find_device().bf16,
        "openmp": {name: value for name, value in os.environ.items() if name.startswith(("OMP_", "GOMP_"))},
        "load_average": round(os.getloadavg()[0], 2),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
