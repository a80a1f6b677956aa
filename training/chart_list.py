"""Which charts a job's page has, decided when it is made, so that nothing moves when the first points arrive."""

from __future__ import annotations

from dataclasses import dataclass

from training.engine.spec import METHOD_KINDS
from training.models import TrainingJob


@dataclass(frozen=True)
class Line:
    """One curve of a chart: where its points are (train, eval or device), their key, and how it is drawn."""

    split: str
    key: str
    label: str
    colour: str = "accent"
    smooth: bool = False
    points: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart under the main one."""

    name: str
    title: str
    lines: tuple[Line, ...]


def _one(name: str, title: str, *, smooth: bool = False) -> Chart:
    return Chart(name, title, (Line("train", name, title.lower(), smooth=smooth),))


def _with_eval(name: str, title: str, key: str) -> Chart:
    evaluated = Line("eval", f"eval_{key}", "eval", colour="ember", points=True)
    return Chart(name, title, (Line("train", key, "train", smooth=True), evaluated))


LOSS = Chart(
    "loss", "Loss", (Line("train", "loss", "train", smooth=True), Line("eval", "eval_loss", "eval", colour="ember", points=True))
)
ACCURACY = _with_eval("accuracy", "Token accuracy", "mean_token_accuracy")
ALWAYS = (
    _one("learning_rate", "Learning rate"),
    _one("grad_norm", "Gradient norm", smooth=True),
    _one("tokens_per_second", "Tokens per second", smooth=True),
)
DEVICE = (
    Chart("memory", "Memory", (Line("device", "used", "device"), Line("device", "peak", "run", colour="ember"))),
    Chart("utilisation", "Device load", (Line("device", "load", "load"),)),
)
# What methods that learn from preferences tell beside the loss.
REWARDS = (
    Chart(
        "rewards",
        "Rewards",
        (
            Line("train", "rewards/chosen", "chosen", smooth=True),
            Line("train", "rewards/rejected", "rejected", colour="ember", smooth=True),
        ),
    ),
    _with_eval("margins", "Reward margin", "rewards/margins"),
    _with_eval("reward_accuracy", "Reward accuracy", "rewards/accuracies"),
)


def charts_for(job: TrainingJob) -> list[Chart]:
    """The small charts, three in a row. Whether there are rewards is told by the method's data, or by what was measured."""
    kinds = METHOD_KINDS.get(job.method, ())
    prefers = "preference" in kinds or "unpaired" in kinds or any(key.startswith("rewards/") for key in job.metrics)
    middle = REWARDS if prefers else (ACCURACY,)
    return [*ALWAYS, *middle, *DEVICE]
