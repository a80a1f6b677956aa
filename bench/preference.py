"""DPO in real tokens a second and peak memory: TRL's DPOTrainer against the engine with its defaults, by turns.

    python -m bench.preference [--models tiny,m20] [--variants trl,trl-fp32,ours] [--steps 10] [--rounds 3] [--name preference]

Writes bench/results/<name>.json. Our losses must agree with TRL's in float32 to 0.1 %, or it ends with an
error (TRL's own default rounds to bfloat16 and is 0.2 % off). Rows are gsm8k's worked answers,
right and wrong; both trainers see the same tokens in the same order and compute the reference in the step.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common.fixtures import write_pairs
from bench.common.report import Bench, workspace, write
from bench.throughput import SAME_LOSS, compare


class PairBench(Bench):
    """Pairs of answers instead of conversations."""

    TRIAL = "bench.common.preference_trial"

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.rows = write_pairs(folder / "pairs.parquet")

    def tokens(self, size: str) -> Path:
        from transformers import AutoTokenizer

        from training.engine.preference_data import prepare_preferences
        from training.engine.rundir import RunDir
        from training.engine.stopping import StopRequest

        path = self.folder / f"{size}-pairs.arrow"
        if not path.exists():
            stop = StopRequest(RunDir(self.folder))
            prepare_preferences(
                self.rows, path, tokenizer=AutoTokenizer.from_pretrained(self.model(size)), kind="preference", rated=False,
                max_length=512, stop=stop,
            )  # fmt: skip
        return path


def main() -> None:
    options = _options()
    with workspace() as folder:
        bench = PairBench(Path(folder))
        models: dict[str, Any] = {
            size: compare(bench, size, options.variants.split(","), options, exact="trl-fp32") for size in options.models.split(",")
        }
    write(options.name, {"steps": options.steps, "rounds": options.rounds, "models": models})
    if worst := [size for size, found in models.items() if found["loss_differences"]["ours"] > SAME_LOSS]:
        raise SystemExit(f"The losses differ by more than {SAME_LOSS:.1%} on {', '.join(worst)}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="tiny,m20")
    parser.add_argument("--variants", default="trl,trl-fp32,ours")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="preference")
    return parser.parse_args()


if __name__ == "__main__":
    main()
