"""Runs are started warm or cold; either way they lead their own life and their end is written down."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.engine.conftest import ended, events, newest_step, wait_for
from training.engine.launch import server_ready, start, start_server
from training.engine.process import identity, is_alive, terminate

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def test_a_warm_run_begins_at_once_in_its_own_session(make_run, server) -> None:
    run_dir = make_run("sft", max_steps=300)
    asked = time.time()
    who = start(run_dir.path, server)
    wait_for(lambda: events(run_dir, "started"))
    preparing, started = events(run_dir, "phase")[0], events(run_dir, "started")[0]
    assert preparing["time"] - asked < 3  # importing takes 5 to 10 seconds
    assert started["time"] > asked
    assert run_dir.engine() == who
    assert os.getsid(who["pid"]) == who["pid"]
    terminate(who, force=True)
    assert ended(run_dir) == {"signal": 9}


def test_a_run_gets_the_environment_it_was_started_with(make_run, server) -> None:
    run_dir = make_run("sft", max_steps=1)
    start(run_dir.path, server, {"CUDA_VISIBLE_DEVICES": "7"})
    assert ended(run_dir) == {"code": 0}
    assert json.loads((run_dir.output / "manifest.json").read_text())["hardware"]["visible_devices"] == "7"


def test_the_server_makes_no_thread_and_survives_nonsense(server, make_run) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        connection.sendall(b"hello\n")
        assert "error" in json.loads(connection.makefile().readline())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        connection.sendall(json.dumps({"run_dir": "/nowhere/at/all"}).encode() + b"\n")
        assert "error" in json.loads(connection.makefile().readline())
    run_dir = make_run("sft", max_steps=1)
    start(run_dir.path, server)
    assert ended(run_dir) == {"code": 0}
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (parent,) = [child for child in living if "forkserver" in child.cmdline()]
    assert parent.num_threads() == 1


def test_the_server_ends_with_its_owner_and_its_runs_go_on(make_run, tmp_path_factory) -> None:
    path = Path("/tmp") / f"aift-{os.getpid()}.sock"
    server = start_server(path)
    wait_for(lambda: server_ready(path), 240)
    run_dir = make_run("sft", max_steps=100_000, eval_fraction=0.0, save_steps=100_000)
    who = start(run_dir.path, path)
    wait_for(lambda: newest_step(run_dir) >= 1)
    server.stdin.close()
    assert server.wait(20) == 0 and not path.exists()
    step = newest_step(run_dir)
    wait_for(lambda: newest_step(run_dir) > step)
    terminate(who)
    wait_for(lambda: not is_alive(who))
    assert events(run_dir, "finished")[0]["outcome"] == "cancelled"


def test_without_a_server_it_starts_cold(make_run, tmp_path) -> None:
    run_dir = make_run("sft", max_steps=1)
    who = start(run_dir.path, tmp_path / "nobody.sock")
    assert identity(who["pid"]) == who and os.getsid(who["pid"]) == who["pid"]
    assert ended(run_dir, 240) == {"code": 0}
    assert events(run_dir, "finished")[0]["outcome"] == "succeeded"
