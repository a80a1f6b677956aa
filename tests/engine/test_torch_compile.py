"""torch_compile is asked for only where it can work, traces each kind of layer once, and changes nothing but the speed.

The compiler's own part, machine code from the trace, takes half a minute and is torch's: here the trace is run as it is.
"""

from __future__ import annotations

import shutil

import pytest

from tests.engine.conftest import built, events
from training.engine import refusals
from training.engine.model import Device
from training.engine.options import Config
from training.engine.refusals import device_refusals
from training.engine.run import prepare_environment, run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def refusal(kind: str, **options) -> str | None:
    return device_refusals("sft", Config(torch_compile=True, **options), Device(kind, kind, True)).get("torch_compile")


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("cpu", True, "Install g++ or turn it off"),
        ("cpu", False, None),
        ("cuda", True, "needs the package triton"),
        ("cuda", False, None),
        ("mps", False, "not ready for Apple GPUs"),
    ],
)
def test_it_is_refused_where_it_cannot_work(monkeypatch, kind, missing, words) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if missing else f"/usr/bin/{name}")
    monkeypatch.setattr("training.engine.refusals.is_missing", lambda name: missing)
    found = refusal(kind)
    assert (found is None) if words is None else (words in found)
    assert "torch_compile" not in device_refusals("sft", Config(), Device(kind, kind, True))


def test_a_run_without_a_compiler_ends_before_anything_is_loaded(make_run, monkeypatch) -> None:
    monkeypatch.setattr(refusals, "COMPILERS", ("no-such-compiler",))
    run_dir = make_run("sft", torch_compile=True)
    assert run(run_dir.path) == 2
    assert events(run_dir, "failed")[0]["message"].startswith("torch_compile: needs a C++ compiler")
    assert not run_dir.data.exists() and not events(run_dir, "started")


def test_the_trainer_is_told_and_its_layers_are_left_to_the_compiler(make_run) -> None:
    compiled, plain = built(make_run("sft", torch_compile=True)), built(make_run("sft"))
    assert compiled.args.torch_compile and not plain.args.torch_compile
    said = [any("Layers in fewer passes" in event["text"] for event in events(t.attempt.dir, "log")) for t in (compiled, plain)]
    assert said == [False, True]


@pytest.mark.parametrize("method", ["sft", "lora"])
def test_batches_of_any_length_share_one_trace_and_learn_the_same(make_run, monkeypatch, method) -> None:
    import torch

    traced, compiler = [], torch.compile

    def backend(graph, inputs):
        traced.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", lambda *layer, **options: compiler(*layer, **{**options, "backend": backend}))
    prepare_environment()
    options = {"max_steps": 4, "eval_fraction": 0, "logging_steps": 1, "bf16": False}
    compiled, plain = make_run(method, torch_compile=True, **options), make_run(method, **options)
    assert run(compiled.path) == 0 and run(plain.path) == 0
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)
    assert len(losses(compiled)) == 4
    assert 0 < len(traced) < 12, "a trace for every length or every layer"
    assert saved_names(compiled) == saved_names(plain)


def losses(run_dir) -> list[float]:
    return [event["values"]["loss"] for event in events(run_dir, "metric") if event["split"] == "train"]


def saved_names(run_dir) -> set[str]:
    from safetensors import safe_open

    (file,) = run_dir.output.glob("*.safetensors")
    with safe_open(file, "pt") as tensors:
        return set(tensors.keys())
