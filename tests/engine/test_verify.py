"""The same spec gives the same weights, and an output can be compared with its manifest."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import events
from training.engine.__main__ import main
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("method", ["sft", "lora"])
def test_a_spec_run_twice_gives_the_same_weights(make_run, method) -> None:
    options = {"packing": True, "max_steps": 5, "gradient_accumulation_steps": 2, "eval_steps": 2}
    options |= {"lora_dropout": 0.2} if method == "lora" else {}  # the tiny model drops in its attention besides
    found = []
    for _ in range(2):
        run_dir = make_run(method, **options)
        assert run(run_dir.path) == 0
        found.append(events(run_dir, "finished")[0]["sha256"])
        assert json.loads((run_dir.output / "manifest.json").read_text())["weights_sha256"] == found[-1]
    assert found[0] == found[1]
    other = make_run(method, **options | {"seed": 7})
    assert run(other.path) == 0
    assert events(other, "finished")[0]["sha256"] != found[0]


def test_an_output_is_compared_with_its_manifest(make_run, capsys) -> None:
    run_dir = make_run("sft", max_steps=1)
    assert run(run_dir.path) == 0
    assert main(["verify", str(run_dir.path)]) == 0
    assert events(run_dir, "finished")[0]["sha256"] in capsys.readouterr().out
    weights = run_dir.output / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (run_dir.output / "config.json").unlink()
    (run_dir.output / "notes.txt").write_text("hello")
    assert main(["verify", str(run_dir.output)]) == 1
    told = capsys.readouterr().out
    assert "model.safetensors was altered." in told and "config.json is missing." in told and "notes.txt is not in" in told
    (run_dir.output / "manifest.json").write_text("{")
    assert main(["verify", str(run_dir.path)]) == 1
    assert "can't be read" in capsys.readouterr().out
