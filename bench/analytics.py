"""How long the analytics take with 100,000 ended jobs of one person: the numbers alone, and after one more job has ended.

    python -m bench.analytics [--jobs 100000] [--rounds 5]

On a scratch SQLite database (or DATABASE_URL). Writes bench/results/analytics.json.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="aift-bench-"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from bench.common.report import write  # noqa: E402
from datasets_app.models import Dataset  # noqa: E402
from finetune.dashboard.analytics import Chosen, analyse  # noqa: E402
from finetune.dashboard.models import JobOutcome  # noqa: E402
from finetune.dashboard.outcomes import gather_outcomes  # noqa: E402
from models_app.models import LanguageModel  # noqa: E402
from training.engine.spec import defaults_for  # noqa: E402
from training.models import TrainingJob  # noqa: E402

METHODS = ("lora", "qlora", "sft", "dpo", "orpo", "kto", "pretrain")


def ended_job(owner: User, bases: list[LanguageModel], data: Dataset, chance: random.Random, days: int) -> TrainingJob:
    """A job as wide as real ones: its config, estimate and metrics are there."""
    method, end = chance.choice(METHODS), timezone.now() - timedelta(seconds=chance.uniform(0, days * 86400))
    seconds = chance.uniform(30, 5000)
    return TrainingJob(
        owner=owner, name="job", method=method, model=chance.choice(bases), dataset=data, config=defaults_for(method),
        status=chance.choices(["succeeded", "failed", "cancelled"], [8, 1, 1])[0], finished_at=end, started_at=end,
        progress={"elapsed_seconds": seconds, "step": 100, "total_steps": 100}, memory={"device": chance.choice(["cpu", "H100", "A100"])},
        metrics={"loss": chance.uniform(0.5, 3), "best_eval_loss": chance.uniform(0.5, 3), "num_tokens": chance.randrange(10**6)},
        estimate={"duration_seconds": {"low": seconds * 0.7, "high": seconds * 1.2}}, cost={"actual": chance.uniform(0, 2)},
    )  # fmt: skip


def timed(act: Any) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    call_command("migrate", verbosity=0)
    chance, owner = random.Random(1), User.objects.create_user("bench", "bench@example.org")
    bases = [
        LanguageModel.objects.create(owner=owner, name=f"base {n}", kind="base", status="ready", family=f"f{n}") for n in range(8)
    ]
    data = Dataset.objects.create(owner=owner, name="data", status="ready")
    for _ in range(0, args.jobs, 2000):
        TrainingJob.objects.bulk_create([ended_job(owner, bases, data, chance, 365) for _ in range(2000)])
    first = timed(lambda: gather_outcomes(owner))
    seconds: dict[str, list[float]] = {}
    for days in (30, 365):
        seconds[f"{days} days"] = [timed(partial(analyse, owner, Chosen(days=days))) for _ in range(args.rounds)]
    assert JobOutcome.objects.count() == TrainingJob.objects.count()
    numbers = {
        name: {"median": round(statistics.median(found), 3), "highest": round(max(found), 3)} for name, found in seconds.items()
    }
    write("analytics", {"jobs": args.jobs, "first_copy_seconds": round(first, 2), "seconds": numbers})
    print(numbers)


if __name__ == "__main__":
    main()
