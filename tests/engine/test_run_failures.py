"""Every failure has a code, a sentence that names the thing, and a suggestion; nothing half-written stays."""

from __future__ import annotations

import errno
import json
import shutil
from types import SimpleNamespace

import pytest

from tests.engine.conftest import chat_rows, events, write_rows
from training.engine import checkpoints
from training.engine.events import EventLog
from training.engine.execute import DISK_FULL, broken_by
from training.engine.failures import classify
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def failure(run_dir) -> dict:
    (failed,) = events(run_dir, "failed")
    assert failed["message"] and failed["hint"]
    assert not run_dir.output.exists()
    return failed


# Plain gradient descent without clipping: nothing holds an explosion back.
UNBOUNDED = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0, "lr_scheduler_type": "constant", "warmup_steps": 0}


def exploding(model, tmp_path):
    """The same model with a last norm so large that float32 overflows after a step."""
    from safetensors.torch import load_file, save_file

    path = tmp_path / "exploding"
    shutil.copytree(model, path)
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"] *= 1e30
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def test_numbers_that_explode_stop_the_run_at_once(make_run, tmp_path, tiny_model) -> None:
    run_dir = make_run("sft", max_steps=40, model=exploding(tiny_model, tmp_path), **UNBOUNDED)
    assert run(run_dir.path) == 1
    failed = failure(run_dir)
    assert failed["code"] == "nan_loss" and "step 1" in failed["message"] and "learning_rate" in failed["hint"]
    assert "NaN" not in run_dir.events_file.read_text()


def test_with_accumulation_too(make_run, tmp_path, tiny_model) -> None:
    run_dir = make_run("lora", max_steps=40, gradient_accumulation_steps=3, model=exploding(tiny_model, tmp_path), **UNBOUNDED)
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "nan_loss"
    assert "NaN" not in run_dir.events_file.read_text() and "Infinity" not in run_dir.events_file.read_text()


def test_an_evaluation_that_is_not_a_number_stops_the_run(make_run, tiny_model, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    run_dir = make_run("sft", max_steps=3, model=broken)
    assert run(run_dir.path) == 1
    failed = failure(run_dir)
    assert failed["code"] == "nan_loss" and "evaluation's loss" in failed["message"] and "step 0" in failed["message"]
    assert "NaN" not in run_dir.events_file.read_text()


def test_broken_weights_are_never_saved(make_run, tiny_model, tmp_path) -> None:
    """Between two points of the curve nobody looks at the loss, so the save looks at the weights."""
    run_dir = make_run("sft", max_steps=40, save_steps=4, logging_steps=100, model=exploding(tiny_model, tmp_path), **UNBOUNDED)
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "nan_loss" and "step 4" in failure(run_dir)["message"]
    assert checkpoints.newest(run_dir.checkpoints) == (None, [])


def test_an_unknown_layer_is_refused_with_its_relatives(make_run) -> None:
    run_dir = make_run("lora", lora_target_modules=["q_proj", "v_prj"])
    assert run(run_dir.path) == 2
    failed = failure(run_dir)
    assert failed["code"] == "bad_spec" and "'v_prj'" in failed["message"] and "v_proj" in failed["message"]


def test_the_output_head_can_carry_no_adapter(make_run) -> None:
    run_dir = make_run("lora", lora_target_modules=["lm_head"])
    assert run(run_dir.path) == 2
    assert "output head" in failure(run_dir)["message"]


def test_a_bad_row_is_named_by_its_line(make_run, tmp_path) -> None:
    rows = [*chat_rows(5), {"line": 123, "messages": "[1]", "tools": None}]
    run_dir = make_run("sft", rows=write_rows(tmp_path / "bad.parquet", rows))
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "bad_data" and "Line 123" in failure(run_dir)["message"]


def test_rows_without_answers_are_refused(make_run, tmp_path) -> None:
    rows = [{"line": 1, "messages": json.dumps([{"role": "user", "content": "Hello?"}])}]
    run_dir = make_run("sft", rows=write_rows(tmp_path / "none.parquet", rows))
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "bad_data"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_with_a_file_missing_is_refused(make_run, tiny_model, tmp_path, name) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / name).unlink()
    run_dir = make_run("sft", model=broken)
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "bad_model"


def test_a_method_that_can_not_learn_from_these_rows_is_refused(make_run) -> None:
    run_dir = make_run("lora", kind="preference")
    assert run(run_dir.path) == 2
    assert "preference" in failure(run_dir)["message"]


def test_a_torn_spec_is_refused(make_run) -> None:
    run_dir = make_run("lora")
    run_dir.spec_file.write_text('{"method": "lora"')
    assert run(run_dir.path) == 2
    assert failure(run_dir)["code"] == "bad_spec"


def test_a_directory_without_spec_is_refused_and_left_alone(tmp_path) -> None:
    assert run(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out_of_memory"),
        (RuntimeError("could not create a primitive"), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed writing file data/1"), "disk_full"),
        (OSError("You are trying to access a gated repo."), "gated_model"),
        (RuntimeError("[enforce fail at gloo/transport/tcp/pair.cc] Connection closed by peer"), "lost"),
        (TimeoutError("The client socket has timed out"), "timed_out"),
        (ValueError("something else"), "internal"),
    ],
)
def test_an_exception_is_classified(error, code) -> None:
    failure = classify(error)
    assert failure.code == code and failure.message and failure.hint


def test_the_room_for_last_words_is_given_back(make_run, monkeypatch) -> None:
    """The disk is full from the second event on, but for the room that was kept."""
    run_dir, emit = make_run("lora", max_steps=1), EventLog.emit

    def on_a_full_disk(log, kind, **values) -> None:
        if (run_dir.path / ".room-for-last-words").exists() and kind != "phase":
            raise OSError(errno.ENOSPC, "No space left on device")
        emit(log, kind, **values)

    monkeypatch.setattr(EventLog, "emit", on_a_full_disk)
    assert run(run_dir.path) == 1
    assert failure(run_dir)["code"] == "disk_full"
    assert not list(run_dir.path.rglob(".*"))


def test_a_traceback_that_finds_no_room_hides_nothing(monkeypatch) -> None:
    def write(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", SimpleNamespace(write=write))
    try:
        raise MemoryError
    except MemoryError as error:
        end = broken_by(error)
    assert end.failure and end.failure.code == "out_of_memory"


def test_without_room_for_a_single_word_the_exit_code_says_it(make_run, monkeypatch) -> None:
    def full(*args, **values) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(EventLog, "emit", full)
    assert run(make_run("lora", max_steps=1).path) == DISK_FULL
