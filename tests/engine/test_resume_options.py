"""Options that carry state from step to step survive kill -9: several of them in one run each, equal to the last bit."""

from __future__ import annotations

import pytest

from tests.engine.conftest import ended, events, metrics, newest_step
from tests.engine.test_resume import kill_when, options_of, same, uninterrupted
from training.engine.launch import start

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
PROMPTS = {"sample_prompts": ["What does tea cost?"], "sample_max_new_tokens": 4}
# Nothing is learned at this rate, so the best evaluation is early and the patience runs out.
NOISE = {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_plateau_patience": 0, "learning_rate": 0.3, "max_grad_norm": 5.0}


def killed_once(make_run, server, method, at, **options):
    run_dir = make_run(method, **options_of(method, **options))
    kill_when(run_dir, server, lambda: newest_step(run_dir) >= at)
    start(run_dir.path, server)
    assert ended(run_dir) == {"code": 0}, run_dir.log_file.read_text()
    assert events(run_dir, "started")[-1]["resumed_from_step"] >= 4
    return run_dir


def samples(run_dir) -> dict[tuple[int, str], str]:
    return {(event["step"], event["prompt"]): event["text"] for event in events(run_dir, "sample")}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lora", {"neftune_noise_alpha": 5.0, "label_smoothing_factor": 0.1, "group_by_length": True, **PROMPTS}),
        ("lora", {"packing": True, "per_device_train_batch_size": 1, "neftune_noise_alpha": 10.0, "keep_best": True, **PROMPTS}),
    ],
    ids=["noise-smoothing-order-samples", "packing-dropout-noise-best"],
)
def test_it_ends_the_same(make_run, server, method, options) -> None:
    reference = uninterrupted(make_run, server, method, **options)
    killed = killed_once(make_run, server, method, at=6, **options)
    same(reference, killed)
    assert samples(reference) == samples(killed) and len(samples(reference)) == 5  # steps 0, 5, 10, 15 and 18


def test_patience_schedule_and_best_count_on(make_run, server) -> None:
    """The counter of early stopping, the best evaluation and a schedule that follows it."""
    options = {**NOISE, "keep_best": True, "early_stopping_patience": 3, "early_stopping_threshold": 1.0, "eval_steps": 2,
               "save_steps": 3, "max_steps": 60, "logging_steps": 1, "save_total_limit": 1}  # fmt: skip
    reference = uninterrupted(make_run, server, "sft", **options)
    last = max(event["step"] for event in metrics(reference))
    assert 6 <= last < 60, "the run should stop early"
    killed = killed_once(make_run, server, "sft", at=last - 2, **options)
    same(reference, killed)
    assert max(event["step"] for event in metrics(killed)) == last
    assert events(killed, "finished")[-1]["values"]["eval_loss"] == events(reference, "finished")[-1]["values"]["eval_loss"]


def test_a_later_attempt_takes_the_best_checkpoint_along(make_run, server) -> None:
    options = {**NOISE, "keep_best": True, "eval_steps": 2, "save_steps": 3, "max_steps": 16, "logging_steps": 1}
    reference = uninterrupted(make_run, server, "lora", **options)
    first = make_run("lora", **options_of("lora", **options))
    kill_when(first, server, lambda: newest_step(first) >= 10)
    second = make_run("lora", resume_from=str(first.checkpoints), **options_of("lora", **options))
    start(second.path, server)
    assert ended(second) == {"code": 0}, second.log_file.read_text()
    assert events(second, "finished")[0]["sha256"] == events(reference, "finished")[0]["sha256"]
    assert not any("gone or damaged" in event["text"] for event in events(second, "log"))


def test_killed_after_an_early_stop_it_trains_no_step_more(make_run, server) -> None:
    options = {"early_stopping_patience": 1, "early_stopping_threshold": 100.0, "eval_steps": 2, "max_steps": 60}
    reference = uninterrupted(make_run, server, "sft", **options)
    killed = make_run("sft", **options_of("sft", **options))
    # The result takes longer to write than the event that follows the last checkpoint.
    kill_when(killed, server, lambda: any(event["step"] == 4 for event in events(killed, "checkpoint")))
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    assert newest_step(killed) <= 4 and events(killed, "finished")[-1]["step"] == 4
    assert events(killed, "finished")[-1]["sha256"] == events(reference, "finished")[-1]["sha256"]
