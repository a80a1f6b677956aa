"""What merging needs of memory and GGUF of time, on a random Llama of a few hundred megabytes in several files.

    python -m bench.export [--width 1024] [--layers 8] [--trials 3]

Merging: the peak of the process beyond what it holds after its imports, against the largest file and the adapter (promised: at most
1.3 × their sum). GGUF: seconds of the conversion in the weights' own number format, against a copy of the weights through the same
process (promised: 1.2 ×), by turns; other types for information. Results: bench/results/export.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .common.fixtures import ROOT
from .common.report import workspace, write

BLOCK = 32 * 1024**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--trial", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trial:
        print("RESULT " + json.dumps(TRIALS[options.trial[0]](Path(options.trial[1]))), flush=True)
        return
    with workspace() as place:
        folder = Path(place)
        in_process("make", folder, options.width, options.layers)
        merging = [in_process("merge", folder) for _ in range(options.trials)]
        times = [in_process("gguf", folder) for _ in range(options.trials)]
    write("export", {"merge": judge_memory(merging), "gguf": judge_time(times), "width": options.width, "layers": options.layers})


def in_process(what: str, folder: Path, width: int = 0, layers: int = 0) -> dict[str, Any]:
    """A fresh process for each trial."""
    environment = {**os.environ, "BENCH_SIZES": f"{width},{layers}", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-m", "bench.export", "--trial", what, str(folder)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout.rpartition("RESULT ")[2])


def make(folder: Path) -> dict[str, Any]:
    """A bfloat16 Llama in several files and an adapter of rank 16, both random."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.engine.sample import _tokenizer

    width, layers = map(int, os.environ["BENCH_SIZES"].split(","))
    tokenizer = _tokenizer(["Say hello to everyone."])
    config = LlamaConfig(vocab_size=32_000, hidden_size=width, intermediate_size=width * 4, num_hidden_layers=layers,
                         num_attention_heads=16, num_key_value_heads=16)  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "base", max_shard_size="150MB")
    tokenizer.save_pretrained(folder / "base")
    tuned = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", init_lora_weights=False))
    tuned.save_pretrained(folder / "adapter")
    return {}


def merge(folder: Path) -> dict[str, Any]:
    import peft  # noqa: F401 - before the memory is read
    import transformers  # noqa: F401

    from models_app.inference import merge as program

    before = peak()
    files = [file.stat().st_size for file in (folder / "base").glob("*.safetensors")]
    adapter = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
    started = time.perf_counter()
    assert program.merge(folder / "base", folder / "adapter", folder / "merged")
    taken = time.perf_counter() - started
    return {"seconds": taken, "bytes": peak() - before, "largest": max(files), "all": sum(files), "adapter": adapter}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def gguf(folder: Path) -> dict[str, Any]:
    """Seconds for a copy and for each type, in one process, after a first reading of everything."""
    import gguf as library  # noqa: F401 - imports before the clock starts
    import transformers  # noqa: F401

    from models_app.inference.llamacpp.convert import TYPES, convert

    convert(folder / "base", folder / "warm", type="bf16")
    (folder / "warm").unlink()
    times = {"copy": timed(lambda: copy(folder, folder / "copy"))}
    (folder / "copy").unlink()
    for kind in ("bf16", *(kind for kind in TYPES if kind != "bf16")):
        times[kind] = timed(lambda kind=kind: convert(folder / "base", folder / "model.gguf", type=kind))
        (folder / "model.gguf").unlink()
    return times


def copy(folder: Path, target: Path) -> None:
    """The weights' bytes through this process, in blocks as large as the converter's."""
    buffer = memoryview(bytearray(BLOCK))
    with open(target, "wb", buffering=0) as out:
        for file in sorted((folder / "base").glob("*.safetensors")):
            with open(file, "rb", buffering=0) as stream:
                while size := stream.readinto(buffer):
                    out.write(buffer[:size])


def timed(work: Any) -> float:
    os.sync()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def judge_memory(trials: list[dict[str, Any]]) -> dict[str, Any]:
    found = {name: statistics.median(trial[name] for trial in trials) for name in trials[0]}
    return {**found, "share": round(found["bytes"] / (found["largest"] + found["adapter"]), 3), "promised": 1.3}


def judge_time(trials: list[dict[str, Any]]) -> dict[str, Any]:
    found = {name: round(statistics.median(trial[name] for trial in trials), 3) for name in trials[0]}
    return {"seconds": found, "share": round(found["bf16"] / found["copy"], 3), "promised": 1.2}


TRIALS = {"make": make, "merge": merge, "gguf": gguf}

if __name__ == "__main__":
    main()
