"""Engines that outlived their worker when everything stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune.launcher import engines
from training.engine import process

# Writes a file when it is asked to stop, as an engine writes its checkpoint.
SAVES = """
import pathlib, signal, sys, time
def save(number, frame):
    time.sleep(0.3)
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, save)
print("up", flush=True)
time.sleep(60)
"""


def start(run_dir: Path, program: str) -> subprocess.Popen:
    run_dir.mkdir(parents=True)
    child = subprocess.Popen([sys.executable, "-c", program, str(run_dir)], stdout=subprocess.PIPE)
    child.stdout.readline()
    (run_dir / "process.json").write_text(json.dumps(process.identity(child.pid)))
    return child


@pytest.fixture
def engine(tmp_path) -> Iterator[subprocess.Popen]:
    child = start(tmp_path / "runs/7/1", SAVES)
    yield child
    child.kill()
    child.communicate()


def test_they_may_save_before_they_end(tmp_path, engine):
    engines.stop_all(tmp_path)

    assert engine.wait(timeout=5) == 3
    assert (tmp_path / "runs/7/1/saved").exists()


def test_one_that_does_not_end_is_killed(tmp_path, monkeypatch):
    deaf = start(tmp_path / "runs/7/1", SAVES.replace("save)", "signal.SIG_IGN)"))
    monkeypatch.setattr(engines, "PATIENCE_SECONDS", 0.5)

    engines.stop_all(tmp_path)

    assert deaf.wait(timeout=5) == -9
    deaf.communicate()


def test_another_process_with_the_same_number_is_left_alone(tmp_path, engine):
    file = tmp_path / "runs/7/1/process.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"start_time": 1.0}))

    engines.stop_all(tmp_path)

    assert engine.poll() is None


def test_half_written_files_are_no_obstacle(tmp_path, capsys):
    (tmp_path / "runs/1/1").mkdir(parents=True)
    (tmp_path / "runs/1/1/process.json").write_text("{")

    engines.stop_all(tmp_path)

    assert capsys.readouterr().out == ""
