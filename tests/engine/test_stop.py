"""Asked to stop, a run ends its step, keeps a checkpoint and nothing else; it can be continued exactly."""

from __future__ import annotations

import os
import signal

import pytest

from tests.engine.conftest import ended, events, losses, metrics, newest_step, wait_for
from training.engine import checkpoints
from training.engine.launch import start
from training.engine.process import is_alive, terminate
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def by_file(run_dir, who) -> None:
    run_dir.cancel_file.touch()


def by_signal(run_dir, who) -> None:
    assert terminate(who)


@pytest.mark.parametrize("ask", [by_file, by_signal])
def test_it_stops_within_a_step_and_can_be_continued(make_run, server, ask) -> None:
    options = {"max_steps": 400, "save_steps": 1000, "eval_steps": 3, "lr_scheduler_type": "constant", "lora_dropout": 0.1}
    run_dir = make_run("lora", **options)
    who = start(run_dir.path, server)
    wait_for(lambda: newest_step(run_dir) >= 4)
    ask(run_dir, who)
    asked_at = newest_step(run_dir)
    assert ended(run_dir) == {"code": 3} and not is_alive(who)
    (finished,) = events(run_dir, "finished")
    assert finished["outcome"] == "cancelled" and finished["step"] <= asked_at + 3
    assert not run_dir.output.exists()
    assert checkpoints.newest(run_dir.checkpoints)[0].step == finished["step"]

    total = finished["step"] + 4
    reference = make_run("lora", **options | {"max_steps": total})
    continued = make_run("lora", resume_from=str(run_dir.checkpoints), **options | {"max_steps": total})
    assert run(reference.path) == 0 and run(continued.path) == 0
    assert losses(run_dir) | losses(continued) == losses(reference)
    evaluated = {event["step"] for each in (run_dir, continued) for event in metrics(each, "eval")}
    assert evaluated == {event["step"] for event in metrics(reference, "eval")}
    assert events(continued, "finished")[0]["sha256"] == events(reference, "finished")[0]["sha256"]


def test_a_run_cancelled_before_it_began_trains_nothing(make_run) -> None:
    run_dir = make_run("sft")
    run_dir.cancel_file.touch()
    assert run(run_dir.path) == 3
    assert not metrics(run_dir) and events(run_dir, "finished")[0]["outcome"] == "cancelled"
    assert not run_dir.output.exists()


def test_it_stops_in_the_middle_of_an_evaluation(make_run, server) -> None:
    run_dir = make_run("sft", max_steps=50, eval_steps=2, save_steps=1000, eval_fraction=0.5, per_device_train_batch_size=1)
    who = start(run_dir.path, server)

    def evaluating():
        phases = events(run_dir, "phase")
        return newest_step(run_dir) >= 2 and phases[-1]["phase"] == "evaluating"

    wait_for(evaluating)
    os.kill(who["pid"], signal.SIGTERM)
    assert ended(run_dir) == {"code": 3}
    (finished,) = events(run_dir, "finished")
    assert checkpoints.newest(run_dir.checkpoints)[0].step == finished["step"] >= 2


def test_our_signal_handlers_go_away_with_the_run(make_run) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(make_run("sft", max_steps=1).path)
    assert signal.getsignal(signal.SIGTERM) is before
