"""kill -9 at any moment, then resume: the same losses and the same weights, to the last bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal

import pytest

from tests.engine.conftest import ended, events, losses, metrics, newest_step, wait_for
from training.engine import checkpoints
from training.engine.launch import start
from training.engine.rundir import RunDir

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]

# logging_steps 3 and save_steps 4 are out of step, so half-collected averages must survive too.
OPTIONS = {"max_steps": 18, "save_steps": 4, "eval_steps": 5, "logging_steps": 3, "gradient_accumulation_steps": 2,
           "per_device_train_batch_size": 2}  # fmt: skip


def options_of(method, **options):
    """OPTIONS with dropout, where there is one to ask for."""
    return OPTIONS | ({} if method == "sft" else {"lora_dropout": 0.1}) | options


DONE: dict[str, RunDir] = {}  # several tests compare with the same run


def uninterrupted(make_run, server, method, **options):
    """A run that nobody disturbed; made once for all tests, which only read it."""
    key = json.dumps([method, options], sort_keys=True)
    if key not in DONE:
        run_dir = make_run(method, **options_of(method, **options))
        start(run_dir.path, server)
        assert ended(run_dir) == {"code": 0}, run_dir.log_file.read_text()
        DONE[key] = run_dir
    return DONE[key]


def kill_when(run_dir, server, condition) -> None:
    who = start(run_dir.path, server)
    wait_for(condition)
    os.kill(who["pid"], signal.SIGKILL)
    assert ended(run_dir) == {"signal": 9}
    run_dir.exit_file.unlink()


def same(one, other) -> None:
    assert losses(one) == losses(other)
    assert [event["values"]["num_tokens"] for event in metrics(one)][-1] == [
        event["values"]["num_tokens"] for event in metrics(other)
    ][-1]
    evaluated = [{event["step"]: event["values"]["eval_loss"] for event in metrics(run, "eval")} for run in (one, other)]
    assert evaluated[0] == evaluated[1]
    assert events(one, "finished")[-1]["sha256"] == events(other, "finished")[-1]["sha256"]


@pytest.mark.parametrize("method", ["sft", "lora", "qlora"])
def test_killed_twice_and_once_inside_a_save_it_ends_the_same(make_run, server, method) -> None:
    reference = uninterrupted(make_run, server, method)
    killed = make_run(method, **options_of(method))
    at = random.randint(5, 8)
    kill_when(killed, server, lambda: newest_step(killed) >= at)
    kill_when(killed, server, lambda: newest_step(killed) >= 9 and list(killed.checkpoints.glob(".staging-*")))
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    assert not list(killed.checkpoints.glob(".staging-*"))
    assert [event["resumed_from_step"] for event in events(killed, "started")][-1] >= 8
    same(reference, killed)


def test_a_later_attempt_continues_from_an_earlier_ones_checkpoints(make_run, server) -> None:
    reference = uninterrupted(make_run, server, "lora")
    first = make_run("lora", **options_of("lora"))
    kill_when(first, server, lambda: newest_step(first) >= 6)
    second = make_run("lora", resume_from=str(first.checkpoints), **options_of("lora"))
    start(second.path, server)
    assert ended(second) == {"code": 0}
    resumed = events(second, "started")[0]["resumed_from_step"]
    assert resumed in (4, 8)
    tail = {step: loss for step, loss in losses(reference).items() if step > resumed}
    assert losses(second) == tail
    assert events(second, "finished")[0]["sha256"] == events(reference, "finished")[0]["sha256"]
    assert metrics(second, "eval")[0]["step"] > 0


def test_a_torn_checkpoint_is_said_and_passed_over(make_run, server) -> None:
    reference = uninterrupted(make_run, server, "sft")
    torn = make_run("sft", **options_of("sft"))
    kill_when(torn, server, lambda: len(events(torn, "checkpoint")) >= 2)
    newest = checkpoints.newest(torn.checkpoints)[0]
    (newest.path / "optimizer.pt").write_bytes(b"")
    start(torn.path, server)
    assert ended(torn) == {"code": 0}
    assert any("damaged" in event["text"] for event in events(torn, "log"))
    assert events(torn, "started")[-1]["resumed_from_step"] == newest.step - 4
    same(reference, torn)


def test_packing_resumes_exactly_too(make_run, server) -> None:
    options = {"packing": True, "save_steps": 2, "max_steps": 10, "logging_steps": 1}
    reference = uninterrupted(make_run, server, "lora", **options)
    killed = make_run("lora", **options_of("lora", **options))
    kill_when(killed, server, lambda: newest_step(killed) >= 5)
    start(killed.path, server)
    assert ended(killed) == {"code": 0}
    same(reference, killed)


def test_evaluating_does_not_change_what_is_learned(make_run, server) -> None:
    often = uninterrupted(make_run, server, "lora")
    seldom = uninterrupted(make_run, server, "lora", eval_steps=18)
    assert len(metrics(often, "eval")) > len(metrics(seldom, "eval"))
    assert losses(often) == losses(seldom)
    assert events(often, "finished")[0]["sha256"] == events(seldom, "finished")[0]["sha256"]


def test_a_finished_run_started_again_keeps_its_result(make_run, server, tmp_path) -> None:
    done = RunDir(tmp_path / "done")
    shutil.copytree(uninterrupted(make_run, server, "sft").path, done.path)
    done.exit_file.unlink()
    shutil.rmtree(done.output)
    start(done.path, server)
    assert ended(done) == {"code": 0}
    first, again = events(done, "finished")
    assert (again["sha256"], again["step"]) == (first["sha256"], first["step"])
    assert again["values"]["eval_loss"] == first["values"]["eval_loss"]
    assert len(metrics(done)) == len({event["step"] for event in metrics(done)})  # no step was made twice, nor one too many
    assert len(metrics(done, "eval")) == len({event["step"] for event in metrics(done, "eval")})
    assert (done.output / "model.safetensors").exists()
