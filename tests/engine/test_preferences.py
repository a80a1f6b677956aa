"""Preference methods train for real: the margin between good and bad answers grows, and evaluations are weighted."""

from __future__ import annotations

import pytest

from tests.engine.conftest import events, metrics
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
OPTIONS = {"max_steps": 24, "learning_rate": 1e-2, "eval_steps": 12}


@pytest.mark.parametrize("adapter", ["lora", "qlora", "none"])
@pytest.mark.parametrize("method", ["dpo", "orpo", "kto"])
def test_the_margin_grows_and_what_should_learn_does(make_run, pairs_file, method, adapter) -> None:
    run_dir = make_run(method, rows=pairs_file, kind="preference", adapter=adapter, **OPTIONS)
    assert run(run_dir.path) == 0, events(run_dir)[-1]
    points = [event["values"] for event in metrics(run_dir)]
    evaluated = [event["values"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1]["eval_loss"] < evaluated[0]["eval_loss"]
    assert evaluated[-1]["eval_rewards/margins"] > evaluated[0]["eval_rewards/margins"] + 0.01
    assert (
        points[0].keys() >= {"rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "num_tokens"}
        or method == "kto"
    )
    assert (run_dir.output / "adapter_model.safetensors").exists() == (adapter != "none")
    assert (run_dir.output / "model.safetensors").exists() == (adapter == "none")
