"""What the platform itself costs: the engine against bare TRL computing the same way, on the same batches, by turns.

    python bench/overhead.py [--model tiny] [--steps 40] [--rounds 5]

Events, metrics, stop checks and guards are the difference. Writes bench/results/overhead.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common.report import Bench, summary, workspace, write

VARIANTS = ("trl-ourway", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    trials: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    with workspace() as folder:
        bench = Bench(Path(folder))
        for turn in range(options.rounds):
            for variant in VARIANTS if turn % 2 else reversed(VARIANTS):
                trials[variant].append(bench.trial(variant, options.model, options.steps))
    found = {variant: summary(made) for variant, made in trials.items()}
    bare, ours = (found[variant] for variant in VARIANTS)
    cost = {name: round(bare[name] / ours[name] - 1, 4) for name in ("tokens_per_second", "tokens_per_cpu_second")}
    print(f"the platform costs {cost['tokens_per_second']:.1%} of the time, {cost['tokens_per_cpu_second']:.1%} of the CPU time")
    write("overhead", {"model": options.model, "steps": options.steps, "variants": found, "cost": cost})


if __name__ == "__main__":
    main()
