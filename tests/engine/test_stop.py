"""Asked to stop, a run ends its step, keeps a checkpoint and nothing else; it can be continued exactly."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.engine.conftest import chat_rows, ended, events, losses, metrics, newest_step, wait_for, write_rows
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


def ask_soon(run_dir, seconds, by) -> None:
    def ask() -> None:
        os.kill(os.getpid(), signal.SIGTERM) if by == "signal" else run_dir.cancel_file.touch()

    timer = threading.Timer(seconds, ask)
    timer.daemon = True
    timer.start()


@pytest.mark.parametrize("by", ["signal", "file"])
def test_it_stops_while_a_large_model_is_read(make_run, monkeypatch, by) -> None:
    from training.engine.methods import sft

    def slow(*args, **kwargs):
        for _ in range(600):
            time.sleep(0.1)

    monkeypatch.setattr(sft, "load_model", slow)
    run_dir = make_run("sft")
    ask_soon(run_dir, 0.3, by)
    began = time.monotonic()
    assert run(run_dir.path) == 3
    assert time.monotonic() - began < 10
    assert events(run_dir, "finished")[0]["outcome"] == "cancelled"


def test_it_stops_in_the_middle_of_a_long_tokenisation(make_run, tmp_path) -> None:
    rows = write_rows(tmp_path / "many.parquet", chat_rows(60_000))
    run_dir = make_run("sft", rows=rows)
    ask_soon(run_dir, 0.6, "file")
    assert run(run_dir.path) == 3
    assert events(run_dir)[-1]["outcome"] == "cancelled" and not events(run_dir, "started")


def test_it_stops_in_the_final_save_and_can_still_be_finished(make_run, monkeypatch) -> None:
    from training.engine import output

    run_dir = make_run("sft", max_steps=4)
    real = output.weights_digest

    def asked_meanwhile(directory):
        run_dir.cancel_file.touch()
        return real(directory)

    monkeypatch.setattr(output, "weights_digest", asked_meanwhile)
    assert run(run_dir.path) == 3
    assert not run_dir.output.exists() and not list(run_dir.path.glob(".staging-*"))
    assert checkpoints.newest(run_dir.checkpoints)[0].step == events(run_dir, "finished")[0]["step"] == 4
    monkeypatch.undo()
    run_dir.cancel_file.unlink()
    assert run(run_dir.path) == 0
    assert (run_dir.output / "model.safetensors").exists()


def test_it_stops_in_the_last_evaluation(make_run, monkeypatch) -> None:
    from training.engine.trainer import Durable

    run_dir = make_run("sft", max_steps=4, eval_steps=100, eval_fraction=0.5)
    real = Durable.prediction_step

    def asked_meanwhile(self, *args, **kwargs):
        if self.state.global_step == 4:
            run_dir.cancel_file.touch()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Durable, "prediction_step", asked_meanwhile)
    assert run(run_dir.path) == 3
    assert not run_dir.output.exists()
    assert checkpoints.newest(run_dir.checkpoints)[0].step == 4
