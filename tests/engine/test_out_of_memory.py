"""A real engine in a real limit: it says that memory ran out, and goes on from its checkpoint with smaller batches."""

from __future__ import annotations

import os
import resource
import signal
import sys

import psutil
import pytest

from tests.engine.conftest import chat_rows, ended, events, losses, metrics, newest_step, wait_for, write_rows
from training.engine import forkserver, memorykills
from training.engine.launch import start
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]

OPTIONS = {"save_steps": 2, "eval_steps": 3, "eval_fraction": 0.1, "num_train_epochs": 2.0, "max_steps": None, "bf16": False}


@pytest.mark.parametrize("group_by_length", [False, True])
def test_the_steps_learn_from_the_same_rows_after_the_batch_was_halved(
    make_run, server, plain_model, tmp_path, group_by_length
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", chat_rows(31))  # does not divide evenly
    options = OPTIONS | {"rows": rows, "model": plain_model, "group_by_length": group_by_length}
    whole = make_run("sft", per_device_train_batch_size=8, **options)
    assert run(whole.path) == 0
    first = make_run("sft", per_device_train_batch_size=8, **options)
    who = start(first.path, server)
    wait_for(lambda: newest_step(first) >= 3)
    os.kill(who["pid"], signal.SIGKILL)
    ended(first)
    second = make_run(
        "sft", per_device_train_batch_size=4, gradient_accumulation_steps=2, resume_from=str(first.checkpoints), **options
    )
    assert run(second.path) == 0
    assert events(second, "started")[0]["resumed_from_step"] >= 2
    both, alone = losses(first) | losses(second), losses(whole)
    assert both == pytest.approx(alone, rel=1e-4) and len(both) == 8
    assert metrics(second)[-1]["values"]["num_tokens"] == metrics(whole)[-1]["values"]["num_tokens"]
    assert events(second, "finished")[0]["step"] == events(whole, "finished")[0]["step"]


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_an_engine_that_gets_no_more_memory_says_so(make_run, server, tmp_path) -> None:
    """The limit is set from outside once it runs: half a gigabyte more than it has, and a batch that needs twice as much."""
    rows = write_rows(tmp_path / "rows.parquet", chat_rows(4200))
    run_dir = make_run("sft", rows=rows, per_device_train_batch_size=4096, max_steps=3, eval_fraction=0.0)
    who = start(run_dir.path, server)
    wait_for(lambda: events(run_dir, "phase"))
    limit = psutil.Process(who["pid"]).memory_info().vms + 500_000_000
    resource.prlimit(who["pid"], resource.RLIMIT_AS, (limit, limit))
    assert ended(run_dir) == {"code": 1}
    (failed,) = events(run_dir, "failed")
    assert failed["code"] == "out_of_memory", run_dir.log_file.read_text()[-3000:]
    assert "per_device_train_batch_size" in failed["hint"]


def test_the_kernels_counter_tells_a_kill_for_memory(tmp_path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    assert memorykills.count(tmp_path) is None
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 12\noom_kill 7\n")
    assert memorykills.count(tmp_path) == 7
    (tmp_path / "proc/self/cgroup").write_text("0::/jobs\n")
    (tmp_path / "sys/fs/cgroup/jobs").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/jobs/memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert memorykills.count(tmp_path) == 2


@pytest.mark.parametrize(
    ("code", "now", "said"),
    [(-9, 3, '{"signal": 9, "out_of_memory": true}'), (-9, 2, '{"signal": 9}'), (-11, 3, '{"signal": 11}'), (1, 3, '{"code": 1}')],
)
def test_an_exit_is_recorded_with_its_cause(tmp_path, monkeypatch, code, now, said) -> None:
    monkeypatch.setattr(memorykills, "count", lambda: now)
    forkserver.record_exit(tmp_path, code, 2)
    assert (tmp_path / "exit.json").read_text() == said
