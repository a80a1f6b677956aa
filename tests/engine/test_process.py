"""A process is known by more than its number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from training.engine.process import identity, is_alive, terminate


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_running_process_is_alive(sleeper) -> None:
    who = identity(sleeper.pid)
    assert who == identity(sleeper.pid) and is_alive(who)


@pytest.mark.parametrize("change", [{"start_time": 1.0}, {"boot_id": "another"}, {"start_time": None}])
def test_another_process_with_its_number_is_not_it(sleeper, change) -> None:
    stranger = identity(sleeper.pid) | change
    assert not is_alive(stranger)
    assert not terminate(stranger, force=True)
    assert sleeper.poll() is None


def test_it_is_asked_and_then_made_to_stop(sleeper) -> None:
    assert terminate(identity(sleeper.pid))
    assert sleeper.wait(10) == -signal.SIGTERM


def test_an_ended_process_is_not_alive_even_before_it_is_reaped(sleeper) -> None:
    who = identity(sleeper.pid)
    assert terminate(who, force=True)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(who) and not terminate(who)


def test_nobody_is_not_alive() -> None:
    assert not is_alive(None) and not is_alive({}) and not terminate(None)
