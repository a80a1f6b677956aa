"""Layers in fewer passes: the same answers and gradients as torch's, transformers' and PEFT's own."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tests.engine.conftest import events
from training.engine import fastpath
from training.engine.attempt import Attempt
from training.engine.events import EventLog
from training.engine.fused import attention, lora, norm, rotary
from training.engine.fused.install import install
from training.engine.model import Device
from training.engine.options import Config
from training.engine.stopping import StopRequest

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
CPU = Device("cpu", "CPU", False)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def same(ours: Any, theirs: Any, inputs: list[torch.Tensor], half: bool = False) -> None:
    """Equal answers, and equal gradients for an arbitrary slope; in bfloat16 (8 bits) but for rounding."""
    slope = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(9)).to(theirs.dtype)
    found = zip(torch.autograd.grad(ours, inputs, slope), torch.autograd.grad(theirs, inputs, slope), strict=True)
    assert ours.dtype == theirs.dtype
    for one, two in [(ours, theirs), *found]:
        if half:
            assert (one - two).float().norm() < 0.01 * two.float().norm()
        else:
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def by_sequence(query: Any, key: Any, value: Any, bounds: list[int], prefixes: Any) -> Any:
    """The same by SDPA, one sequence after the other with what precedes it written out."""
    parts = []
    for (start, end), (before, length) in zip(itertools.pairwise(bounds), prefixes, strict=True):
        seen = [*range(before, before + length), *range(start, end)]
        mask = torch.ones(end - start, len(seen), dtype=torch.bool).tril(length)
        part = scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, seen], value[:, :, seen], attn_mask=mask, enable_gqa=True
        )
        parts.append(part.transpose(1, 2))
    return torch.cat(parts, 1)


@pytest.mark.parametrize("block", [4, 192])  # several blocks a sequence, and one
@pytest.mark.parametrize("prefixes", [[(0, 0)] * 4, [(0, 0), (0, 0), (0, 7), (10, 3)]])
def test_attention_by_products_is_sdpa(monkeypatch, block, prefixes) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    monkeypatch.setattr(attention, "_MASK", [])
    bounds = [0, 10, 11, 23, 40]
    inputs = [numbers(1, heads, 40, 8, seed=heads) for heads in (6, 2, 2)]
    inputs[2] = numbers(1, 2, 40, 8, seed=5)
    ours = attention.CausalAttention.apply(*inputs, bounds, prefixes, None)
    same(ours, by_sequence(*inputs, bounds, prefixes), inputs)


def test_attention_in_bfloat16_rounds_no_more_than_sdpa() -> None:
    exact = [numbers(1, heads, 300, 16, seed=seed) for seed, heads in enumerate((4, 2, 2))]
    bounds, prefixes = [0, 300], [(0, 0)]
    right = by_sequence(*exact, bounds, prefixes)
    half = [part.bfloat16() for part in exact]
    found = [(way - right).norm() / right.norm() for way in (
        attention.CausalAttention.apply(*half, bounds, prefixes, None), by_sequence(*half, bounds, prefixes))]  # fmt: skip
    assert found[0] < 1.5 * found[1] < 0.02


@pytest.fixture
def adapted() -> Any:
    """A frozen linear layer with an adapter that does something."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    inside = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.Linear(20, 6, bias=False))
    return get_peft_model(inside, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", init_lora_weights=False))


@pytest.mark.parametrize("autocast", [False, True])
def test_a_layer_and_its_adapter_in_one_step_are_pefts(adapted, autocast) -> None:
    x = numbers(3, 5, 12)
    learned = [x, *(parameter for parameter in adapted.parameters() if parameter.requires_grad)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        theirs = adapted(x)
        assert len(lora.install(adapted)) == 2
        ours = adapted(x)
    same(ours, theirs, learned, half=autocast)


def test_an_adapter_that_is_off_merged_or_drops_is_left_to_peft(adapted) -> None:
    x = numbers(2, 12)
    on = adapted(x)
    lora.install(adapted)
    with adapted.disable_adapter():
        base = adapted.get_base_model()
        plain = base[1].base_layer(base[0].base_layer(x))
        torch.testing.assert_close(adapted(x), plain)
    adapted.merge_adapter()
    torch.testing.assert_close(adapted(x), on)
    adapted.unmerge_adapter()
    adapted.get_base_model()[0].lora_dropout["default"] = torch.nn.Dropout(0.5)
    assert not torch.equal(adapted.train()(x), adapted(x))


@pytest.mark.parametrize("family", ["Llama", "Gemma"])  # Gemma keeps its weight as a difference from 1
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_transformers(family: str, dtype: torch.dtype) -> None:
    from importlib import import_module

    module = getattr(import_module(f"transformers.models.{family.lower()}.modeling_{family.lower()}"), f"{family}RMSNorm")(16)
    with torch.no_grad():
        module.weight.normal_(generator=torch.Generator().manual_seed(1))
    module.to(dtype)
    x = numbers(2, 3, 16).to(dtype).detach().requires_grad_()
    theirs = module(x)
    assert norm.install(module) == [module]
    same(module(x), theirs, [x, module.weight], half=dtype == torch.bfloat16)


def test_what_only_has_a_norms_name_is_left_alone() -> None:
    class OddRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.eps = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, x: Any) -> Any:
            return self.weight * x / x.abs().mean(-1, keepdim=True)

    assert norm.install(OddRMSNorm()) == []


@pytest.fixture
def turning(tiny_model) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model)


def test_the_rotation_is_transformers_and_this_models_alone(turning) -> None:
    modelling = sys.modules[type(turning).__module__]
    undo = rotary.install(turning)
    q, k = numbers(1, 4, 9, 12), numbers(1, 2, 9, 12, seed=1)
    marked, unmarked = (numbers(1, 9, 12, seed=2).detach() for _ in range(2))
    rotary._mark(None, None, (marked, None))
    sin = numbers(1, 9, 12, seed=3).detach()
    ours, theirs = (modelling.apply_rotary_pos_emb(q, k, cos, sin) for cos in (marked, unmarked))
    assert [part.grad_fn.name() for part in (ours[0], theirs[0])] == ["RotateBackward", "AddBackward0"]
    for one, two, part in zip(ours, theirs, (q, k), strict=True):
        same(one, two, [part])
    positions = torch.arange(4)[None]
    assert turning.model.rotary_emb(q, positions)[0].turned_by_us
    undo()
    assert not hasattr(turning.model.rotary_emb(q, positions)[0], "turned_by_us")


def attempt_of(run_dir: Any) -> Attempt:
    return Attempt(run_dir, run_dir.read_spec(), EventLog(run_dir.events_file), StopRequest(run_dir))


def test_a_model_that_answers_otherwise_with_our_layers_keeps_its_own(make_run, turning, monkeypatch) -> None:
    run_dir = make_run("sft")
    monkeypatch.setattr(norm.RmsNorm, "forward", staticmethod(lambda ctx, x, weight, eps, from_one: weight * x))
    monkeypatch.setattr(norm, "_answers", lambda *known: True)
    fastpath.finish(attempt_of(run_dir), CPU, turning)
    assert "the logits differ by" in events(run_dir, "log")[-1]["text"]
    assert not any("forward" in vars(module) for module in turning.model.modules())


@pytest.mark.parametrize(("kind", "options", "fused"), [
    ("cpu", {}, True), ("cuda", {}, False), ("cpu", {"torch_compile": True}, False), ("cpu", {"distributed": "fsdp"}, False),
])  # fmt: skip
def test_layers_are_ours_only_where_nobody_else_takes_them(kind, options, fused) -> None:
    assert fastpath.fuses(Config(**options), kind) is fused


@pytest.mark.parametrize(("family", "names"), [
    ("qwen3", ["adapters", "norms", "rotary embeddings"]),
    ("gemma3_text", ["adapters", "norms", "rotary embeddings"]),
    ("olmo2", ["adapters", "norms", "rotary embeddings"]),  # turns in float32 whatever the model's precision
    ("glm", ["adapters", "norms"]),  # turns half of each head, in pairs that stand side by side
    ("gpt2", []),
])  # fmt: skip
def test_each_family_gets_what_suits_it_and_answers_the_same(family: str, names: list[str]) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    if family != "gpt2":
        sizes |= {"intermediate_size": 96, "pad_token_id": 0}
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes)).bfloat16()
    settings = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False)
    model, rows = get_peft_model(base, settings), fastpath._rows(base)
    before = fastpath._padded_logits(base, rows)
    found, undo = install(model, base)
    assert found == names
    assert fastpath._distance(fastpath._padded_logits(base, rows)[0], before[0]) < fastpath.TOLERANCE[2]
    undo()
    assert torch.equal(fastpath._padded_logits(base, rows)[0], before[0])
