"""One LLaMA-Factory run on the tokens every other variant trains on: PEER-PYTHON bench/common/peer.py OPTIONS-AS-JSON.

Run by the interpreter of an environment that has `llamafactory` (it pins other versions than ours), so it imports
nothing of this project. Prints the same line as trial.py.
"""

import json
import resource
import sys
import time

STARTED = time.perf_counter()
WARM = 2  # as in trial.py


def main(options):
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    points = []

    class Watch(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.began = time.perf_counter()

        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs and "loss" in logs:
                now = time.perf_counter()
                seen = state.num_input_tokens_seen
                points.append(
                    {
                        "clock": now - self.began,
                        "tokens": seen,
                        "loss": float(logs["loss"]),
                        "since_start": now - STARTED,
                        "cpu": time.process_time(),
                    }
                )

    run_exp(arguments(options), callbacks=[Watch()])
    seconds, tokens = points[-1]["clock"] - points[WARM - 1]["clock"], points[-1]["tokens"] - points[WARM - 1]["tokens"]
    result = {
        "variant": options["variant"],
        "model": options["model"],
        "tokens": tokens,
        "seconds": round(seconds, 4),
        "tokens_per_second": round(tokens / seconds, 1),
        "tokens_per_cpu_second": round(tokens / (points[-1]["cpu"] - points[WARM - 1]["cpu"]), 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "first_step_seconds": round(points[0]["since_start"], 2),
        "losses": [round(point["loss"], 6) for point in points],
    }
    print("RESULT " + json.dumps(result), flush=True)


def arguments(options):
    """LLaMA-Factory's defaults, with the batch, adapter and schedule that all variants share."""
    return {
        "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_rank": 8, "lora_alpha": 16, "lora_target": "all",
        "model_name_or_path": options["model_path"], "template": "chatml", "dataset": "the-tokens", "tokenized_path": options["tokenized"], "cutoff_len": 512,
        "output_dir": options["work"], "save_strategy": "no", "report_to": "none", "use_cpu": True, "max_steps": options["steps"],
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 2e-4, "lr_scheduler_type": "cosine",
        "warmup_steps": 0, "logging_steps": 1, "seed": 42, "include_num_input_tokens_seen": "non_padding",
        "disable_tqdm": True, "remove_unused_columns": True, **options["settings"],
    }  # fmt: skip


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
