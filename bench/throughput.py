"""Real tokens a second and peak memory: bare TRL against the engine with its defaults, on the same batches, by turns.

    python bench/throughput.py [--models tiny,m20] [--variants trl,trl-fp32,ours] [--steps 10] [--rounds 3] [--name throughput]

Writes bench/results/<name>.json. The losses must agree to 0.1 %, or it ends with an error. `trl` is TRL as it comes
(bfloat16 autocast, gradient checkpointing), `trl-fp32` and `trl-bf16` are its fastest settings by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common.report import Bench, summary, workspace, write

SAME_LOSS = 1e-3


def main() -> None:
    options = _options()
    with workspace() as folder:
        bench = Bench(Path(folder))
        models = {size: compare(bench, size, options.variants.split(","), options) for size in options.models.split(",")}
    write(options.name, {"steps": options.steps, "rounds": options.rounds, "models": models})
    if worst := [size for size, found in models.items() if found["largest_loss_difference"] > SAME_LOSS]:
        raise SystemExit(f"The losses differ by more than {SAME_LOSS:.1%} on {', '.join(worst)}.")


def compare(bench: Bench, size: str, variants: list[str], options: Any, exact: str = "ours") -> dict[str, Any]:
    """All variants on one model by turns: each one's summary, ours against the others, and how far the losses are from those of
    `exact`."""
    trials: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for _ in range(options.rounds):
        for variant in variants:
            trials[variant].append(bench.trial(variant, size, options.steps))
    found = {variant: summary(made) for variant, made in trials.items()}
    ours = found["ours"]
    ratios = {
        variant: {
            "throughput": round(ours["tokens_per_second"] / other["tokens_per_second"], 2),
            "per_cpu_second": round(ours["tokens_per_cpu_second"] / other["tokens_per_cpu_second"], 2),
            "peak_memory": round(ours["peak_rss_mb"] / other["peak_rss_mb"], 2),
        }
        for variant, other in found.items()
        if variant != "ours"
    }
    reference = trials[exact][0]["losses"]
    apart = {
        variant: round(max(abs(one - two) / two for one, two in zip(made[0]["losses"], reference, strict=True)), 7)
        for variant, made in trials.items()
    }
    return {
        "variants": found,
        "ours_against": ratios,
        "losses_from": exact,
        "loss_differences": apart,
        "largest_loss_difference": max(apart.values()),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="tiny,m20")
    parser.add_argument("--variants", default="trl,trl-fp32,ours")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="throughput")
    return parser.parse_args()


if __name__ == "__main__":
    main()
