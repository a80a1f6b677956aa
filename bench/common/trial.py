"""One training run in a fresh process, so that its peak memory is its own: python -m bench.common.trial OPTIONS-AS-JSON.

Prints one JSON line: {variant, model, tokens, seconds, tokens_per_second, tokens_per_cpu_second, peak_rss_mb, first_step_seconds, losses}.
`tokens` are real ones (padding is not counted) of the steps after the first WARM ones, `seconds` the time of those steps.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
WARM = 2  # steps that are not timed: they allocate, choose kernels and fill caches
# Options the bare trainer and ours share, so that both see the same batches and take the same steps.
SHARED: dict[str, Any] = {
    "learning_rate": 2e-4,
    "per_device_train_batch_size": 4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "seed": 42,
    "logging_steps": 1,
}
BARE: dict[str, dict[str, Any]] = {
    "trl": {},  # as TRL comes: bfloat16 autocast and gradient checkpointing
    "trl-fp32": {"bf16": False, "gradient_checkpointing": False},
    "trl-bf16": {"bf16": True, "gradient_checkpointing": False},
    # Our way of computing under the bare trainer: what is left between it and ours is the platform's own cost. It takes the
    # precision that the engine takes on this processor.
    "trl-ourway": {"gradient_checkpointing": False, "padding_free": True},
}


def main(options: dict[str, Any]) -> None:
    from training.engine.run import prepare_environment

    if options["variant"] in ("ours", "trl-ourway"):  # the bare trainer gets the environment anyone would start it with
        prepare_environment()
    report(options, (_ours if options["variant"].startswith("ours") else _bare)(options))


def report(options: dict[str, Any], points: list[dict[str, float]]) -> None:
    """Print the RESULT line from each step's {clock, tokens, loss, since_start, cpu}."""
    timed = points[-1]["clock"] - points[WARM - 1]["clock"], points[-1]["tokens"] - points[WARM - 1]["tokens"]
    result = {
        "variant": options["variant"],
        "model": options["model"],
        "tokens": timed[1],
        "seconds": round(timed[0], 4),
        "tokens_per_second": round(timed[1] / timed[0], 1),
        "tokens_per_cpu_second": round(timed[1] / (points[-1]["cpu"] - points[WARM - 1]["cpu"]), 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "first_step_seconds": round(points[0]["since_start"], 2),
        "losses": [round(point["loss"], 6) for point in points],
    }
    print("RESULT " + json.dumps(result), flush=True)


def _ours(options: dict[str, Any]) -> list[dict[str, float]]:
    """The engine with its defaults."""
    from training.engine.spec import DataRef

    return engine_points(options, "lora", DataRef(train=options["rows"]))


def engine_points(options: dict[str, Any], method: str, data: Any) -> list[dict[str, float]]:
    """The steps of the engine itself, from a spec in a run directory, with its defaults."""
    from training.engine.events import EventLog
    from training.engine.run import run
    from training.engine.rundir import RunDir, read_events
    from training.engine.spec import Config, ModelRef, TrainingSpec, check_config

    config = SHARED | {"max_steps": options["steps"], "lora_r": 8, "lora_alpha": 16, "max_length": 512, "eval_fraction": 0.0}
    config |= {"save_steps": 10_000}
    folder = RunDir(Path(options["work"]))
    model = ModelRef(path=options["model_path"])
    folder.write_spec(TrainingSpec(method=method, model=model, data=data, config=Config(**check_config(method, config))))
    used = note_processor_time(EventLog)
    began = time.time() - (time.perf_counter() - STARTED)
    if code := run(folder.path):
        sys.exit(f"the engine ended with {code}: {folder.events_file.read_text()}")
    steps = [event for event, _ in read_events(folder.events_file, limit=1 << 28) if event["kind"] == "metric"]
    return [
        {"clock": event["elapsed_seconds"], "tokens": event["values"]["num_tokens"], "loss": event["values"]["loss"],
         "since_start": event["time"] - began, "cpu": cpu}
        for event, cpu in zip(steps, used, strict=True)
    ]  # fmt: skip


def note_processor_time(log: Any) -> list[float]:
    """The process's CPU seconds at each metric event: what a run costs, however busy the machine is."""
    used: list[float] = []
    emit = log.emit

    def noting(self: Any, kind: str, **values: Any) -> None:
        if kind == "metric":
            used.append(time.process_time())
        emit(self, kind, **values)

    log.emit = noting
    return used


def watcher(points: list[dict[str, float]]) -> Any:
    """A callback for a bare trainer that notes the clock and the counts of every step in `points`."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                now = time.perf_counter()
                points.append(
                    {"clock": now - self.began, "tokens": logs["num_tokens"], "loss": logs["loss"], "since_start": now - STARTED,
                     "cpu": time.process_time()}
                )  # fmt: skip

    return Watch()


def _bare(options: dict[str, Any]) -> list[dict[str, float]]:
    """TRL's SFTTrainer on the same tokens and labels, as its documentation starts it."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from training.engine import attention, fastpath, labelloss
    from training.engine.model import find_device

    ourway = options["variant"] == "trl-ourway"
    chosen = {"bf16": find_device().bf16} if ourway else {}
    rows = Dataset.from_file(options["tokens"])
    points: list[dict[str, float]] = []
    settings = SFTConfig(
        output_dir=options["work"], max_steps=options["steps"], **SHARED, **BARE[options["variant"]], **chosen, max_length=None,
        save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    half = ourway and settings.bf16
    model = AutoModelForCausalLM.from_pretrained(options["model_path"], dtype="bfloat16" if half else "float32")
    if ourway:
        attention.register()
        model.set_attn_implementation(attention.NAME)
    trainer = SFTTrainer(
        model=model, args=settings, train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(options["model_path"]), callbacks=[watcher(points)],
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    if ourway:
        labelloss.install(fastpath.unwrapped(trainer.model))
    trainer.train()
    return points


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
