"""The memory formulas, held against what autograd really keeps and against what the parts must add up to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from training.engine import attention
from training.engine.activations import Plan, saved_bytes
from training.engine.fused.install import install
from training.engine.memory import CPU_OVERHEAD, estimate_memory, optimizer_bytes, trained_parameters
from training.engine.shapes import Shape, shape_from_config

ROWS, WIDTH = 2, 60
PLAN = Plan(
    adapter="lora", device="cpu", half_base=False, autocast=False, checkpointing=False, optim="adamw_torch", accumulates=False,
    lora_r=8, lora_dropout=0.0, targets=("all-linear",), dora=False, rows=ROWS, width=WIDTH, tokens=ROWS * WIDTH,
    scored=ROWS * (WIDTH - 1), padded=False,
)  # fmt: skip
SIZES = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
LLAMA = SIZES | {"model_type": "llama"}


def plan(**changes: Any) -> Plan:
    return dataclasses.replace(PLAN, **changes)


def real_model(family: str, wanted: Plan) -> Any:
    """A model as the engine prepares it: adapter, fused head, checkpointing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(0)
    sizes: dict[str, Any] = SIZES
    if family == "gpt2":
        sizes = {name: size for name, size in SIZES.items() if name != "intermediate_size"}
        sizes |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes))
    model.config.use_cache = False
    if wanted.flattened:
        attention.register()
        model.set_attn_implementation(attention.NAME)
    model = model.to(torch.bfloat16) if wanted.half_base else model
    if wanted.adapter == "lora":
        settings = LoraConfig(
            task_type="CAUSAL_LM", r=wanted.lora_r, lora_dropout=wanted.lora_dropout, target_modules="all-linear",
            fan_in_fan_out=family == "gpt2",
        )  # fmt: skip
        model = get_peft_model(model, settings)
    base = model.get_base_model() if wanted.adapter == "lora" else model
    add_fused_lm_head(base)
    if wanted.fused:
        install(model, base)
    if wanted.checkpointing:
        model.activation_checkpointing_enable()
        model.enable_input_require_grads()
    return model.train()


def measured_bytes(model: Any, wanted: Plan) -> int:
    """Bytes of the distinct tensors that the forward pass keeps, the model's own weights not counted."""
    import torch

    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(parameter.shape) for parameter in model.parameters()}  # autocast's copies of the weights have them too
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        is_weight = {tuple(tensor.shape), tuple(tensor.shape[::-1])} & shapes
        if storage.data_ptr() not in own and not is_weight:
            kept[storage.data_ptr()] = tensor
        return tensor

    ids = torch.randint(0, 256, (1, ROWS * WIDTH) if wanted.flattened else (ROWS, WIDTH))
    inputs: dict[str, Any] = {"input_ids": ids, "labels": ids}
    if wanted.flattened:
        bounds = torch.arange(ROWS + 1, dtype=torch.int32) * WIDTH
        inputs |= {"position_ids": torch.arange(WIDTH).repeat(1, ROWS), "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds}
        inputs |= {"max_length_q": WIDTH, "max_length_k": WIDTH}
    elif wanted.padded:
        inputs["attention_mask"] = torch.ones_like(ids)
        inputs["attention_mask"][0, WIDTH // 2 :] = 0
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=wanted.autocast):
        output = model(**inputs, fused_lm_head=True)
    assert output.loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.engine
@pytest.mark.parametrize(
    ("family", "changes", "tolerance"),
    [
        ("llama", {"adapter": "none"}, 0.02),
        ("llama", {}, 0.02),
        ("llama", {"padded": True}, 0.02),
        ("llama", {"flattened": True}, 0.02),
        ("llama", {"flattened": True, "adapter": "none"}, 0.02),
        ("llama", {"adapter": "none", "autocast": True}, 0.03),
        ("llama", {"half_base": True, "autocast": True}, 0.03),
        ("llama", {"lora_dropout": 0.1}, 0.05),
        ("llama", {"fused": True}, 0.03),
        ("llama", {"fused": True, "adapter": "none"}, 0.03),
        ("llama", {"fused": True, "flattened": True, "half_base": True, "autocast": True}, 0.03),
        ("llama", {"fused": True, "flattened": True, "adapter": "none", "autocast": True}, 0.03),
        ("qwen3", {"fused": True, "flattened": True, "half_base": True, "autocast": True}, 0.05),
        ("qwen2", {"adapter": "none"}, 0.02),
        ("qwen3", {}, 0.05),
        ("gemma2", {"adapter": "none", "quadratic": True}, 0.10),
        ("phi3", {}, 0.05),
        ("gpt_neox", {"adapter": "none"}, 0.10),
        ("gpt2", {"adapter": "none"}, 0.10),
    ],
)
def test_it_counts_what_autograd_keeps(family: str, changes: dict[str, Any], tolerance: float, tmp_path: Path) -> None:
    wanted = plan(**changes)
    model = real_model(family, wanted)
    config = model.get_base_model().config if wanted.adapter == "lora" else model.config
    config.save_pretrained(tmp_path)
    shape = shape_from_config(json.loads((tmp_path / "config.json").read_text()))
    assert saved_bytes(shape, wanted) == pytest.approx(measured_bytes(model, wanted), rel=tolerance)


@pytest.mark.engine
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_checkpointing_keeps_only_the_layers_inputs(adapter: str) -> None:
    wanted = plan(adapter=adapter, checkpointing=True)
    kept = measured_bytes(real_model("llama", wanted), wanted)
    one_layer = saved_bytes(shape_from_config(LLAMA), plan(adapter=adapter)) / 4
    assert saved_bytes(shape_from_config(LLAMA), wanted) - one_layer == pytest.approx(kept, rel=0.35)


def test_the_parts_and_the_range_agree() -> None:
    for adapter in ("none", "lora", "qlora"):
        for device in ("cpu", "cuda"):
            found = estimate_memory(shape_from_config(LLAMA), plan(adapter=adapter, device=device), typical_tokens=32)
            assert found.low <= found.expected <= found.high
            assert found.high >= sum(dataclasses.astuple(found.parts))


def test_full_training_holds_weights_gradients_and_two_moments() -> None:
    shape = shape_from_config(LLAMA)
    parts = estimate_memory(shape, plan(adapter="none")).parts
    assert (parts.weights, parts.gradients, parts.optimizer) == (4 * shape.parameters, 4 * shape.parameters, 8 * shape.parameters)


def test_an_adapter_needs_gradients_only_for_itself() -> None:
    shape = shape_from_config(LLAMA)
    parts = estimate_memory(shape, plan()).parts
    assert parts.gradients == 4 * trained_parameters(shape, PLAN) < 4 * shape.parameters
    assert parts.weights == 4 * shape.parameters + parts.gradients


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ({"checkpointing": True}, {}),
        ({"tokens": 64, "rows": 1}, {}),
        ({}, {"lora_dropout": 0.1}),
        ({"optim": "adafactor", "adapter": "none"}, {"adapter": "none"}),
        ({"half_base": True, "autocast": True}, {}),
        ({}, {"quadratic": True}),
        ({"adapter": "qlora", "autocast": True}, {}),
        ({"adapter": "none", "tokens": 8192}, {"adapter": "none", "tokens": 8192, "accumulates": True}),
    ],
)
def test_what_saves_memory_lowers_the_estimate(smaller: dict[str, Any], larger: dict[str, Any]) -> None:
    shape: Shape = shape_from_config(LLAMA | {"num_hidden_layers": 24, "hidden_size": 512})
    less, more = (estimate_memory(shape, plan(device="cuda", **changes)) for changes in (smaller, larger))
    assert less.expected < more.expected


def test_a_correction_moves_the_level_and_narrows_the_range() -> None:
    found = estimate_memory(shape_from_config(LLAMA), PLAN)
    assert found.expected > CPU_OVERHEAD
    corrected = found.scaled(1.2, 0.1)
    assert corrected.expected == int(found.expected * 1.2)
    assert corrected.high - corrected.low == pytest.approx(0.2 * corrected.expected, rel=0.01)


def test_optimizers_keep_what_their_papers_say() -> None:
    assert optimizer_bytes("adamw_torch") == 8
    assert optimizer_bytes("sgd") == 0
    assert optimizer_bytes("adamw_8bit") < 3
