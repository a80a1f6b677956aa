"""Adapters that begin with a part of the base's weights, under methods that hold the model to its reference."""

from __future__ import annotations

import math

import pytest

from tests.engine.conftest import ended, metrics, newest_step
from tests.engine.test_adapter_options import logits
from tests.engine.test_resume import kill_when, options_of, same
from training.engine.launch import start
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
# What each method's loss is while the model is its reference; orpo has none.
AT_FIRST = {"dpo": math.log(2), "kto": 0.5}


def at_the_start(run_dir, *names) -> list[float]:
    """These numbers of the first training step and of the evaluation before it."""
    first, before = metrics(run_dir)[0]["values"], metrics(run_dir, "eval")[0]["values"]
    return [first[name] for name in names] + [before[f"eval_{name}"] for name in names]


@pytest.mark.parametrize(("method", "name"), [("dpo", "pissa"), ("kto", "olora"), ("orpo", "pissa")])
def test_the_reference_is_the_base_and_the_result_fits_it(make_run, tiny_model, pairs_file, monkeypatch, method, name) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from training.engine import supervised

    trained, write = [], supervised.write_output

    def keeping(attempt, model, *args, **kwargs):
        trained.append(logits(model))
        return write(attempt, model, *args, **kwargs)

    monkeypatch.setattr(supervised, "write_output", keeping)
    options = {"rows": pairs_file, "kind": "preference", "lora_r": 8, "learning_rate": 1e-3, "max_steps": 4}
    moved = make_run(method, init_lora_weights=name, **options)
    assert run(moved.path) == 0
    if method in AT_FIRST:
        plain = make_run(method, **options)
        assert run(plain.path) == 0
        assert at_the_start(moved, "loss") == pytest.approx([AT_FIRST[method]] * 2, abs=1e-6)
        assert at_the_start(moved, "rewards/chosen", "rewards/rejected") == pytest.approx([0.0] * 4, abs=1e-6)
        names = "logps/chosen", "logps/rejected"
        assert at_the_start(moved, *names) == pytest.approx(at_the_start(plain, *names), rel=1e-5)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = logits(base)
    tuned = logits(PeftModel.from_pretrained(base, moved.output))
    assert float((tuned - trained[0]).abs().max()) < 1e-3
    assert float((tuned - before).abs().max()) > 1e-2


def test_killed_it_ends_the_same(make_run, server, pairs_file) -> None:
    options = options_of("dpo", rows=pairs_file, kind="preference", init_lora_weights="pissa_niter_16", lora_r=8, max_steps=12)
    reference, killed = make_run("dpo", **options), make_run("dpo", **options)
    start(reference.path, server)
    assert ended(reference) == {"code": 0}, reference.log_file.read_text()
    kill_when(killed, server, lambda: newest_step(killed) >= 6)
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    same(reference, killed)
