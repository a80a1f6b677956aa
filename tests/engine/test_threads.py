"""Threads wait politely, and there are never more of them than the machine lets us use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from training.engine import threads

pytestmark = pytest.mark.engine


def test_waiting_is_short_unless_somebody_chose_otherwise() -> None:
    environment: dict[str, str] = {}
    threads.prepare(environment)
    assert environment["GOMP_SPINCOUNT"] == threads.SPINS
    chosen = {"OMP_WAIT_POLICY": "ACTIVE"}
    threads.prepare(chosen)
    assert chosen["OMP_WAIT_POLICY"] == "ACTIVE" and "GOMP_SPINCOUNT" not in chosen


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_bounds_the_threads(tmp_path, files, expected) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    usable = len(os.sched_getaffinity(0))
    assert threads.cores(tmp_path) == (expected or usable)


def test_a_process_kept_on_one_core_computes_with_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from training.engine.run import prepare_environment; prepare_environment()\n"
        "import torch; print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"


def test_the_fork_server_waits_politely_too() -> None:
    """What libgomp says it read, when torch is loaded the way the fork server loads it."""
    code = (
        "import training.engine.forkserver as server; server.serve = lambda path: __import__('torch') and 0\n"
        "from training.engine.__main__ import main; main(['forkserver', 'socket'])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment["OMP_DISPLAY_ENV"] = "VERBOSE"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("This torch brings another OpenMP, which does not tell.")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr and f"GOMP_SPINCOUNT = '{threads.SPINS}'" in done.stderr
