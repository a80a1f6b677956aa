"""Every schedule of transformers runs with the arguments our options give it, and has the shape its help promises."""

from __future__ import annotations

import itertools
import warnings

import pytest

from tests.engine.conftest import events, metrics
from training.engine.options import MEASURING_SCHEDULERS, SCHEDULERS, Config
from training.engine.run import run
from training.engine.schedules import scheduler_arguments

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
STEPS = 100


def rates(**options) -> list[float]:
    """The learning rate before each of 100 steps, as transformers' schedule gives it."""
    import torch
    from transformers import get_scheduler

    config = Config(learning_rate=1e-3, warmup_steps=10, **options)
    arguments = scheduler_arguments(config, STEPS)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    scheduler = get_scheduler(
        arguments["lr_scheduler_type"], optimizer, arguments["warmup_steps"], STEPS, arguments["lr_scheduler_kwargs"]
    )
    found = []
    for _ in range(STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step(*([1.0] if config.lr_scheduler_type in MEASURING_SCHEDULERS else []))
    return found


def test_every_schedule_of_transformers_is_offered() -> None:
    from transformers.trainer_utils import SchedulerType

    assert set(SCHEDULERS) == {item.value for item in SchedulerType}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_it_reaches_the_rate_after_warm_up_and_never_passes_it(name) -> None:
    found = rates(lr_scheduler_type=name)
    assert max(found) == pytest.approx(1e-3) and min(found) >= 0
    if name not in ("constant", *MEASURING_SCHEDULERS):
        assert found[0] < 5e-4 < found[10]


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"lr_scheduler_type": "cosine_with_min_lr"}, 1e-4),
        ({"lr_scheduler_type": "cosine_with_min_lr", "min_lr_ratio": 0.5}, 5e-4),
        ({"lr_scheduler_type": "cosine_warmup_with_min_lr", "min_lr_ratio": 0.2}, 2e-4),
        ({"lr_scheduler_type": "polynomial"}, 0.0),
        ({"lr_scheduler_type": "polynomial", "min_lr_ratio": 0.3}, 3e-4),
        ({"lr_scheduler_type": "warmup_stable_decay"}, 0.0),
        ({"lr_scheduler_type": "warmup_stable_decay", "min_lr_ratio": 0.1}, 1e-4),
        ({"lr_scheduler_type": "reduce_lr_on_plateau", "min_lr_ratio": 0.25}, 2.5e-4),
        ({"lr_scheduler_type": "greedy", "min_lr_ratio": 0.25}, 2.5e-4),
    ],
)
def test_it_ends_where_min_lr_ratio_says(options, last) -> None:
    assert rates(**options)[-1] == pytest.approx(last, rel=0.02, abs=1e-6)


def test_the_options_of_one_schedule_change_its_shape() -> None:
    restarts = rates(lr_scheduler_type="cosine_with_restarts", lr_num_cycles=3)
    assert sum(after > 5 * before for before, after in itertools.pairwise(restarts[11:])) == 2
    straight, steep = (rates(lr_scheduler_type="polynomial", lr_power=power) for power in (1.0, 2.0))
    assert steep[55] < 0.6 * straight[55]
    short, long = (rates(lr_scheduler_type="warmup_stable_decay", lr_decay_ratio=share) for share in (0.1, 0.5))
    assert short[80] == pytest.approx(1e-3) and long[80] < 6e-4
    fast, slow = (rates(lr_scheduler_type="reduce_lr_on_plateau", lr_plateau_patience=patience) for patience in (0, 5))
    assert sum(fast) < sum(slow)
    assert rates(lr_scheduler_type="reduce_lr_on_plateau", lr_plateau_factor=0.9)[4] == pytest.approx(0.9e-3)


def test_decay_and_a_long_warm_up_share_the_run() -> None:
    arguments = scheduler_arguments(Config(lr_scheduler_type="warmup_stable_decay", warmup_steps=95), STEPS)
    assert arguments["lr_scheduler_kwargs"]["num_decay_steps"] == 5


@pytest.mark.parametrize("name", MEASURING_SCHEDULERS)
def test_a_schedule_that_follows_eval_loss_does_so(make_run, name) -> None:
    run_dir = make_run(
        "sft", lr_scheduler_type=name, lr_plateau_patience=0, learning_rate=0.5, max_steps=8, eval_steps=2, max_grad_norm=0.0,
        bf16=False,
    )  # fmt: skip
    assert run(run_dir.path) == 0
    evaluated = [event["values"]["eval_loss"] for event in metrics(run_dir, "eval")][1:]
    used = [event["values"]["learning_rate"] for event in metrics(run_dir)]
    best, expected = float("inf"), used[0]
    for index, loss in enumerate(evaluated[:-1]):
        expected = expected * 0.5 if not loss < best else expected / (0.5 if name == "greedy" else 1)
        best = min(best, loss)
        assert used[2 * index + 2] == pytest.approx(min(expected, 5.0))
    assert len(set(used)) > 1


def test_it_is_refused_without_rows_to_evaluate_on(make_run) -> None:
    run_dir = make_run("sft", lr_scheduler_type="reduce_lr_on_plateau", eval_fraction=0)
    assert run(run_dir.path) == 2
    assert "lr_scheduler_type: needs rows to evaluate on" in events(run_dir, "failed")[0]["message"]
