"""One trial of DPO, in a process of its own: the engine, or TRL's DPOTrainer on the same tokens in the same order.

    python -m bench.common.preference_trial '{"variant": "ours", "model": "tiny", …}'

Prints RESULT and a JSON line as trial.py does. Tokens are those of both answers with their prompts, padding not counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.common.trial import SHARED, STARTED, note_processor_time, report

# As TRL comes (bfloat16 autocast, gradient checkpointing), and its fastest settings by hand.
BARE: dict[str, dict[str, Any]] = {
    "trl": {},
    "trl-fp32": {"bf16": False, "gradient_checkpointing": False},
    "trl-bf16": {"bf16": True, "gradient_checkpointing": False},
}


def main(options: dict[str, Any]) -> None:
    from training.engine.run import prepare_environment

    if options["variant"] == "ours":
        prepare_environment()
    report(options, (_ours if options["variant"] == "ours" else _bare)(options))


def _ours(options: dict[str, Any]) -> list[dict[str, float]]:
    """The engine itself, from a spec in a run directory, with its defaults."""
    from training.engine.events import EventLog
    from training.engine.run import run
    from training.engine.rundir import RunDir, read_events
    from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec, check_config

    config = SHARED | {"max_steps": options["steps"], "lora_r": 8, "lora_alpha": 16, "max_length": 512, "eval_fraction": 0.0}
    config |= {"save_steps": 10_000} | options.get("config", {})
    folder = RunDir(Path(options["work"]))
    folder.write_spec(
        TrainingSpec(
            method="dpo", model=ModelRef(path=options["model_path"]), data=DataRef(train=options["rows"], kind="preference"),
            config=Config(**check_config("dpo", config)),
        )
    )  # fmt: skip
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


def _bare(options: dict[str, Any]) -> list[dict[str, float]]:
    """TRL's DPOTrainer as its documentation starts it, on finished tokens."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    points: list[dict[str, float]] = []

    class Finished(DPOTrainer):
        """The rows are tokens already, the same as the engine's."""

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset

    class Watch(TrainerCallback):
        """Notes the clock and the counts at every step."""

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                now = time.perf_counter()
                points.append(
                    {"clock": now - self.began, "tokens": logs["num_tokens"], "loss": logs["loss"], "since_start": now - STARTED,
                     "cpu": time.process_time()}
                )  # fmt: skip

    settings = DPOConfig(
        output_dir=options["work"], max_steps=options["steps"], **SHARED, **BARE[options["variant"]], max_length=None,
        save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, logging_nan_inf_filter=False,
    )  # fmt: skip
    trainer = Finished(
        model=AutoModelForCausalLM.from_pretrained(options["model_path"], dtype="float32"), args=settings,
        train_dataset=Dataset.from_file(options["tokens"]), callbacks=[Watch()],
        processing_class=AutoTokenizer.from_pretrained(options["model_path"]),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.train()
    return points


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
