"""keep_best ends with the checkpoint of the lowest eval_loss and never prunes it; a run without progress ends early."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import events, metrics
from training.engine.best import Best
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
# A rate that learns for some steps and then throws the model out of its valley.
WILD = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 30, "learning_rate": 0.6, "max_grad_norm": 1.0,
        "eval_steps": 2, "save_steps": 3, "max_steps": 24, "save_total_limit": 1}  # fmt: skip


def evaluations(run_dir) -> dict[int, float]:
    return {event["step"]: event["values"]["eval_loss"] for event in metrics(run_dir, "eval")}


def test_it_waits_for_progress_beyond_the_threshold() -> None:
    best = Best()
    losses = [2.0, 1.9, 1.95, float("nan"), 1.5]
    assert [best.see(step, {"eval_loss": loss}, 0.2) for step, loss in enumerate(losses, 1)] == [True, True, False, False, True]
    assert (best.step, best.waited) == (5, 0)
    best = Best()
    for step, loss in enumerate(losses[:4], 1):
        best.see(step, {"eval_loss": loss}, 0.2)
    assert best.waited == 3 and Best(**json.loads(json.dumps(best.state()))) == best


@pytest.mark.parametrize("method", ["lora", "sft"])
def test_the_result_is_the_best_checkpoint(make_run, method) -> None:
    from safetensors.torch import load_file

    run_dir = make_run(method, keep_best=True, **WILD)
    assert run(run_dir.path) == 0
    found = evaluations(run_dir)
    step = min(list(found)[1:], key=found.__getitem__)
    assert 2 <= step < 24
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    kept = load_file(run_dir.checkpoints / f"checkpoint-{step}" / name)
    assert {path.name for path in run_dir.checkpoints.iterdir()} == {f"checkpoint-{step}", "checkpoint-24"}
    saved = load_file(run_dir.output / name)
    assert all(saved[key].equal(kept[key]) for key in saved)
    manifest = json.loads((run_dir.output / "manifest.json").read_text())
    assert manifest["step"] == step and manifest["metrics"]["eval_loss"] == found[step]
    (finished,) = events(run_dir, "finished")
    assert finished["step"] == 24 and finished["values"]["eval_loss"] == found[step]


def test_without_it_the_result_is_the_last_step(make_run) -> None:
    run_dir = make_run("lora", **WILD)
    assert run(run_dir.path) == 0
    assert json.loads((run_dir.output / "manifest.json").read_text())["step"] == 24
    assert [path.name for path in run_dir.checkpoints.iterdir()] == ["checkpoint-24"]


def test_a_run_that_no_longer_improves_stops_early_with_a_checkpoint(make_run) -> None:
    run_dir = make_run("sft", early_stopping_patience=2, **WILD)
    assert run(run_dir.path) == 0
    found = evaluations(run_dir)
    last = max(found)
    assert last < 24 and min(found[last], found[last - 2]) >= min(list(found.values())[1:])
    assert any(f"Stopped early after step {last}" in event["text"] for event in events(run_dir, "log"))
    assert events(run_dir, "checkpoint")[-1]["step"] == last == events(run_dir, "finished")[0]["step"]


def test_a_large_threshold_stops_sooner(make_run) -> None:
    run_dir = make_run("sft", early_stopping_patience=1, early_stopping_threshold=100.0, **WILD)
    assert run(run_dir.path) == 0
    assert max(evaluations(run_dir)) == 4  # the first evaluation has nothing to be compared with


@pytest.mark.parametrize("options", [{"keep_best": True}, {"early_stopping_patience": 3}])
def test_they_are_refused_without_rows_to_evaluate_on(make_run, options) -> None:
    run_dir = make_run("sft", eval_fraction=0, **options)
    assert run(run_dir.path) == 2
    assert events(run_dir, "failed")[0]["message"].startswith(f"{next(iter(options))}: needs rows to evaluate on")
