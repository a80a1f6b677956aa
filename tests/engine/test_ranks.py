"""Two processes train together: the same rows in every step as one process with accumulation, and exact resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import ended, events, losses, metrics, newest_step, wait_for
from training.engine import checkpoints
from training.engine.evaluating import dealt
from training.engine.launch import PACKAGE_ROOT, start
from training.engine.process import is_alive, terminate
from training.engine.world import World

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]

TWO = {"AIFT_CPU_PROCESSES": "2"}
OPTIONS = {"max_steps": 10, "save_steps": 4, "eval_steps": 4, "logging_steps": 1, "per_device_train_batch_size": 2}


def finished(run_dir, server):
    start(run_dir.path, server, TWO)
    assert ended(run_dir) == {"code": 0}, run_dir.log_file.read_text()
    return run_dir


@pytest.mark.parametrize("method", ["sft", "lora"])
def test_two_processes_learn_what_one_learns_with_accumulation(make_run, server, plain_model, method) -> None:
    one = finished(make_run(method, model=plain_model, gradient_accumulation_steps=2, **OPTIONS), server)
    two = finished(make_run(method, model=plain_model, num_gpus=2, **OPTIONS), server)
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    for key in ("num_tokens", "grad_norm", "learning_rate", "mean_token_accuracy"):
        pairs = zip(metrics(one), metrics(two), strict=True)
        assert all(a["values"][key] == pytest.approx(b["values"][key], rel=2e-3) for a, b in pairs), key
    evaluated = [[event["values"]["eval_loss"] for event in metrics(run, "eval")] for run in (one, two)]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-4)
    assert [event["total_steps"] for event in events(two, "started")] == [10]


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_two_processes_prefer_what_one_prefers_with_accumulation(make_run, server, plain_model, pairs_file, method) -> None:
    options = OPTIONS | {
        "rows": pairs_file,
        "kind": "preference",
        "model": plain_model,
        "adapter": "none",
        "lr_scheduler_type": "constant",
    }
    one = finished(make_run(method, gradient_accumulation_steps=2, **options), server)
    two = finished(make_run(method, num_gpus=2, **options), server)
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)
    for key in ("num_tokens", "rewards/margins", "logps/chosen"):
        pairs = zip(metrics(one), metrics(two), strict=True)
        assert all(a["values"][key] == pytest.approx(b["values"][key], rel=2e-3, abs=1e-4) for a, b in pairs), key
    for first, second in zip(metrics(one, "eval"), metrics(two, "eval"), strict=True):
        for key in ("eval_loss", "eval_rewards/chosen", "eval_mean_token_accuracy"):
            if key in first["values"]:
                assert first["values"][key] == pytest.approx(second["values"][key], rel=1e-3, abs=1e-4), key


def test_ratings_are_learned_by_two_processes_and_resume_exactly(make_run, server, rated_file) -> None:
    options = OPTIONS | {"rows": rated_file, "kind": "unpaired", "num_gpus": 2, "lora_dropout": 0.1}
    reference = finished(make_run("kto", **options), server)
    killed = make_run("kto", **options)
    who = start(killed.path, server, TWO)
    wait_for(lambda: newest_step(killed) >= 6)
    assert terminate(who, force=True)
    assert ended(killed) == {"signal": 9}
    killed.exit_file.unlink()
    finished(killed, server)
    assert losses(killed) == losses(reference)
    assert events(killed, "finished")[-1]["sha256"] == events(reference, "finished")[-1]["sha256"]


def test_evaluation_rows_are_dealt_out_once() -> None:
    shares = [dealt(11, 2, World(rank, 4)) for rank in range(4)]
    assert shares[0] == ([[0, 1], [8, 9]], 2)
    assert shares[3] == ([[6, 7], [0]], 1)
    counted = [row for batches, real in shares for batch in batches[:real] for row in batch]
    assert sorted(counted) == list(range(11))


def rank_pids(who) -> list[int]:
    return sorted(child.pid for child in psutil.Process(who["pid"]).children())


def test_killed_ranks_end_the_run_and_it_resumes_exactly(make_run, server) -> None:
    options = OPTIONS | {"num_gpus": 2, "max_steps": 16, "save_steps": 3, "logging_steps": 2, "lora_dropout": 0.1}
    reference = finished(make_run("lora", **options), server)
    killed = make_run("lora", **options)
    who = start(killed.path, server, TWO)
    wait_for(lambda: newest_step(killed) >= 4)
    _, second = rank_pids(who)
    os.kill(second, signal.SIGKILL)
    assert ended(killed) == {"signal": 9}
    assert not events(killed, "failed") and not is_alive(who)
    killed.exit_file.unlink()

    who = start(killed.path, server, TWO)
    wait_for(lambda: newest_step(killed) >= 10)
    ranks = [psutil.Process(pid) for pid in rank_pids(who)]
    assert terminate(who, force=True)
    assert ended(killed) == {"signal": 9}
    assert psutil.wait_procs(ranks, timeout=5)[1] == []
    killed.exit_file.unlink()

    finished(killed, server)
    assert [event["resumed_from_step"] for event in events(killed, "started")][1:] >= [3, 9]
    assert losses(killed) == losses(reference)
    assert events(killed, "finished")[-1]["sha256"] == events(reference, "finished")[-1]["sha256"]
    assert {event["step"]: event["values"]["eval_loss"] for event in metrics(killed, "eval")} == {
        event["step"]: event["values"]["eval_loss"] for event in metrics(reference, "eval")
    }
    assert not list(killed.checkpoints.glob(".staging-*"))


@pytest.mark.parametrize("by", ["file", "signal"])
def test_all_ranks_stop_after_the_same_step(make_run, server, by) -> None:
    run_dir = make_run("sft", **OPTIONS | {"num_gpus": 2, "max_steps": 4000, "save_steps": 4000})
    who = start(run_dir.path, server, TWO)
    wait_for(lambda: newest_step(run_dir) >= 3)
    assert len(rank_pids(who)) == 2
    terminate(who) if by == "signal" else run_dir.cancel_file.touch()
    assert ended(run_dir) == {"code": 3}, run_dir.log_file.read_text()
    (finished_event,) = events(run_dir, "finished")
    newest = checkpoints.newest(run_dir.checkpoints)[0]
    assert finished_event["outcome"] == "cancelled" and newest.step == finished_event["step"] and newest.ranks == 2


def test_more_devices_than_there_are_is_refused_in_words(make_run, server) -> None:
    run_dir = make_run("sft", num_gpus=3, max_steps=2)
    start(run_dir.path, server, TWO)
    assert ended(run_dir) == {"code": 2}
    (failed,) = events(run_dir, "failed")
    assert failed["code"] == "bad_spec" and "num_gpus: 3 are asked for, and this machine has 0 GPU(s)" in failed["message"]


def test_a_failure_on_any_rank_is_told_once(make_run, server, tmp_path) -> None:
    from tests.engine.conftest import chat_rows, write_rows

    rows = [*chat_rows(5), {"line": 123, "messages": "[1]", "tools": None}]
    run_dir = make_run("sft", num_gpus=2, rows=write_rows(tmp_path / "bad.parquet", rows))
    start(run_dir.path, server, TWO)
    assert ended(run_dir) == {"code": 1}
    (failed,) = events(run_dir, "failed")
    assert failed["code"] == "bad_data" and "Line 123" in failed["message"]


def test_another_number_of_processes_goes_on_and_says_so(make_run, server) -> None:
    first = finished(make_run("sft", **OPTIONS | {"num_gpus": 2, "max_steps": 4}), server)
    second = make_run("sft", resume_from=str(first.checkpoints), **OPTIONS | {"max_steps": 6})
    finished(second, server)
    assert sorted(losses(second)) == [5, 6]
    assert any("2 process(es) wrote" in event["text"] for event in events(second, "log"))


def test_fsdp_splits_the_model_and_leaves_a_whole_one(make_run, server, plain_model) -> None:
    from safetensors.torch import load_file

    options = OPTIONS | {"num_gpus": 2, "bf16": False, "max_steps": 5, "eval_steps": 5}
    whole = finished(make_run("sft", model=plain_model, **options), server)
    split = make_run("sft", model=plain_model, distributed="fsdp", **options)
    engine = [sys.executable, str(Path(__file__).with_name("fsdp_on_cpu.py")), str(split.path)]
    environment = {**os.environ, **TWO, "PYTHONPATH": str(PACKAGE_ROOT)}
    done = subprocess.run(engine, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (split.checkpoints / "checkpoint-5" / "pytorch_model_fsdp.bin").exists()
    assert losses(split) == pytest.approx(losses(whole), rel=1e-4)
    one, two = (load_file(run.output / "model.safetensors") for run in (whole, split))
    assert set(one) == set(two)
    assert all((one[name] - two[name]).abs().max() < 1e-3 for name in one)
