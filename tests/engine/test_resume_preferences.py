"""kill -9 and resume, for the methods that learn from preferences: rewards, losses and weights are the same to the last bit."""

from __future__ import annotations

import os
import random
import signal

import pytest

from tests.engine.conftest import ended, events, metrics, newest_step, wait_for
from tests.engine.test_resume import kill_when, options_of, same
from training.engine.launch import start

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
TIMES = {"tokens_per_second", "samples_per_second"}


def numbers(run_dir) -> dict:
    """Step → every number of the training curve but the speeds; a repeated step counts once."""
    return {
        event["step"]: {name: value for name, value in event["values"].items() if name not in TIMES} for event in metrics(run_dir)
    }


@pytest.mark.parametrize("method", ["dpo", "orpo", "kto"])
def test_killed_twice_and_once_inside_a_save_it_ends_the_same(make_run, server, pairs_file, rated_file, method) -> None:
    rows = {"rows": rated_file, "kind": "unpaired"} if method == "kto" else {"rows": pairs_file, "kind": "preference"}
    options = options_of(method, adapter="lora", loss_type="kto") if method == "kto" else options_of(method)
    reference, killed = (make_run(method, **rows, **options) for _ in range(2))
    start(reference.path, server)
    assert ended(reference) == {"code": 0}, reference.log_file.read_text()
    at = random.randint(5, 8)
    kill_when(killed, server, lambda: newest_step(killed) >= at)
    kill_when(killed, server, lambda: newest_step(killed) >= 9 and list(killed.checkpoints.glob(".staging-*")))
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    assert [event["resumed_from_step"] for event in events(killed, "started")][-1] >= 8
    same(reference, killed)
    assert numbers(reference) == numbers(killed)


def test_killed_while_the_reference_is_computed_it_goes_on_there(make_run, server, tmp_path, pairs_file) -> None:
    from tests.engine.conftest import preference_rows, write_rows

    many = write_rows(tmp_path / "many.parquet", preference_rows(600))
    options = {"rows": many, "kind": "preference", "adapter": "none", "max_steps": 4, "eval_fraction": 0.0}
    options |= {"per_device_train_batch_size": 2}
    reference, killed = make_run("dpo", **options), make_run("dpo", **options)
    start(reference.path, server)
    assert ended(reference) == {"code": 0}, reference.log_file.read_text()
    who = start(killed.path, server)
    part = wait_for(lambda: next((path for path in killed.data.glob("*.part") if path.stat().st_size > 700), None))
    os.kill(who["pid"], signal.SIGKILL)
    assert ended(killed) == {"signal": 9}
    killed.exit_file.unlink()
    written = part.stat().st_size
    with open(part, "ab") as file:
        file.write(b"torn")
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    assert written > 700 and not list(killed.data.glob("*.part"))
    (one,), (other,) = (list(run.data.glob("*.logps")) for run in (reference, killed))
    assert one.name == other.name and one.read_bytes() == other.read_bytes()
    assert numbers(reference) == numbers(killed)
    assert events(killed, "finished")[-1]["sha256"] == events(reference, "finished")[-1]["sha256"]
