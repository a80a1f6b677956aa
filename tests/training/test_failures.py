"""Every way a run can end badly has a code, a sentence and one thing to do; the log's end comes with it."""

from __future__ import annotations

import errno
import shutil

import pytest

from finetune.core.errors import Unavailable
from training import failures
from training.engine.execute import DISK_FULL
from training.engine.launch import LaunchError
from training.engine.rundir import RunDir


@pytest.fixture
def ended_run(tmp_path):
    run = RunDir(tmp_path)
    run.log_file.write_text("first\nlast words\n")
    run.process_file.write_text("{}")
    return run


@pytest.mark.parametrize(
    ("cause", "code", "words"),
    [
        ({"signal": 9}, "killed", "ran out of memory"),
        ({"signal": 11}, "crashed", "SIGSEGV"),
        ({}, "lost", "without a word"),
    ],
)
def test_a_vanished_engine(ended_run, cause, code, words) -> None:
    error = failures.lost(ended_run, cause, 2)
    assert error["code"] == code and words in error["message"] and "2 times" in error["message"]
    assert error["hint"] and "last words" in error["log_tail"]


def test_an_engine_that_never_began_took_too_long(ended_run) -> None:
    ended_run.process_file.unlink()
    error = failures.lost(ended_run, {}, 1)
    assert error["code"] == "timed_out" and error["hint"]


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "missing", "rows.parquet"), "bad_data"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (Unavailable("Modal does not answer."), "provider_error"),
        (LaunchError("exit code 3"), "internal"),
    ],
)
def test_a_run_that_could_not_be_started(ended_run, raised, code) -> None:
    error = failures.not_started(ended_run, raised)
    assert error["code"] == code and error["message"] and error["hint"]


def test_a_full_disk_is_told_also_when_nobody_could_write_it(ended_run) -> None:
    wordless = failures.unexplained_exit(ended_run, DISK_FULL)
    copied = failures.not_kept(ended_run, shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]))
    for error in (wordless, copied):
        assert error["code"] == "disk_full" and error["message"].startswith("The disk is full") and "resume" in error["hint"]
    assert failures.unexplained_exit(ended_run, 1)["code"] == "internal"
    assert failures.not_kept(ended_run, OSError("broken"))["code"] == "output_lost"


def test_the_engines_own_words_are_kept(ended_run) -> None:
    event = {"code": "gated_model", "message": "The model is gated.", "hint": "Ask for access."}
    assert failures.from_event(ended_run, event) == {**event, "log_tail": "first\nlast words"}
    assert failures.from_event(ended_run, {})["code"] == "internal"
