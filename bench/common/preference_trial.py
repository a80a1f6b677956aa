"""One trial of DPO, in a process of its own: the engine, or TRL's DPOTrainer on the same tokens in the same order.

    python -m bench.common.preference_trial '{"variant": "ours", "model": "tiny", …}'

Prints RESULT and a JSON line as trial.py does. Tokens are those of both answers with their prompts, padding not counted.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.common.trial import BARE, SHARED, engine_points, report, watcher


def main(options: dict[str, Any]) -> None:
    from training.engine.run import prepare_environment

    if options["variant"] == "ours":
        prepare_environment()
    report(options, (_ours if options["variant"] == "ours" else _bare)(options))


def _ours(options: dict[str, Any]) -> list[dict[str, float]]:
    """The engine with its defaults."""
    from training.engine.spec import DataRef

    return engine_points(options, "dpo", DataRef(train=options["rows"], kind="preference"))


def _bare(options: dict[str, Any]) -> list[dict[str, float]]:
    """TRL's DPOTrainer as its documentation starts it, on finished tokens."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    points: list[dict[str, float]] = []

    class Finished(DPOTrainer):
        """The rows are tokens already, the same as the engine's."""

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset

    settings = DPOConfig(
        output_dir=options["work"], max_steps=options["steps"], **SHARED, **BARE[options["variant"]], max_length=None,
        save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, logging_nan_inf_filter=False,
    )  # fmt: skip
    trainer = Finished(
        model=AutoModelForCausalLM.from_pretrained(options["model_path"], dtype="float32"), args=settings,
        train_dataset=Dataset.from_file(options["tokens"]), callbacks=[watcher(points)],
        processing_class=AutoTokenizer.from_pretrained(options["model_path"]),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.train()
    return points


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
