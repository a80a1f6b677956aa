"""torch_compile is asked for only where it can work, and reaches the trainer. Compiling itself takes minutes: no test does it."""

from __future__ import annotations

import shutil

import pytest

from tests.engine.conftest import built, events
from training.engine import refusals
from training.engine.model import Device
from training.engine.options import Config
from training.engine.refusals import device_refusals
from training.engine.run import run

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
