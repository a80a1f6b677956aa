"""Steps, tokens and FLOPs, held against the engine's own counting and against the rules of the papers."""

from __future__ import annotations

import dataclasses
import random
from types import SimpleNamespace
from typing import Any

import pytest

from training.engine import fastpath
from training.engine.arguments import total_steps
from training.engine.duration import batch_positions, head_flops, training_flops, workload
from training.engine.model import Device
from training.engine.plans import Forecast, device_of, flops_per_second, forecast, pads
from training.engine.shapes import shape_from_config
from training.engine.spec import Config, check_config

SIZES = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
LLAMA = shape_from_config(SIZES | {"model_type": "llama"})
CPU = Device("cpu", "CPU", False)
LENGTHS = random.Random(1).choices(range(10, 121), k=50)


def config(method: str = "lora", **values: Any) -> Config:
    return Config(**check_config(method, values))


def foresee(method: str = "lora", device: Device = CPU, **values: Any) -> Forecast:
    return forecast(LLAMA, method, config(method, **values), device, lengths=LENGTHS, rows=300, eval_rows=30)


@pytest.mark.parametrize("rows", [2, 90, 91, 1000])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"num_train_epochs": 0.3},
        {"num_gpus": 3},
        {"per_device_train_batch_size": 7, "gradient_accumulation_steps": 3},
        {"max_steps": 11},
    ],
)
def test_steps_are_those_of_the_engine(rows: int, values: dict[str, Any]) -> None:
    wanted = config(**values)
    found = workload(wanted, [30], rows=rows, eval_rows=0, padded=False)
    assert found.steps == total_steps(SimpleNamespace(config=wanted), rows)  # type: ignore[arg-type]


def test_tokens_are_rows_times_epochs_times_the_mean_length() -> None:
    found = workload(config(num_train_epochs=2, per_device_train_batch_size=1), [10, 30], rows=100, eval_rows=0, padded=False)
    assert found.tokens == 2 * 100 * 20
    assert found.width == 30


def test_rows_are_cut_at_max_length_and_at_the_context() -> None:
    assert workload(config(max_length=16), [10, 30], rows=9, eval_rows=0, padded=False).width == 16
    found = workload(config(), [10, 30], rows=9, eval_rows=0, padded=False, context=12)
    assert (found.width, found.cut) == (12, 0.5)


def test_padding_costs_positions() -> None:
    typical, largest = batch_positions(LENGTHS, 4, 100, padded=True)
    dense, most = batch_positions(LENGTHS, 4, 100, padded=False)
    assert largest == 4 * max(LENGTHS)
    assert dense < typical
    assert most <= largest
    assert dense == pytest.approx(4 * sum(LENGTHS) / len(LENGTHS), rel=0.1)


def test_packing_fills_sequences() -> None:
    packed = workload(config(packing=True, max_length=120, num_train_epochs=1), LENGTHS, rows=300, eval_rows=0, padded=False)
    loose = workload(config(max_length=120, num_train_epochs=1), LENGTHS, rows=300, eval_rows=0, padded=False)
    assert packed.steps < loose.steps
    assert packed.tokens == pytest.approx(loose.tokens, rel=0.05)


def test_full_training_costs_six_flops_a_weight_and_lora_four() -> None:
    matrices = sum(linear.weights for linear in LLAMA.linears)
    full, lora = foresee("sft"), foresee("lora")
    assert training_flops(LLAMA, full.plan, 0) == 6 * matrices
    adapter = LLAMA.adapter_parameters(16, ["all-linear"])
    assert training_flops(LLAMA, lora.plan, 0) == 4 * matrices + 6 * adapter
    again = dataclasses.replace(full.plan, checkpointing=True)
    assert training_flops(LLAMA, again, 0) == 8 * matrices
    assert head_flops(LLAMA, full.plan) == 2 * head_flops(LLAMA, lora.plan)


def test_longer_runs_take_longer_and_more_rows_at_once_no_more_tokens() -> None:
    assert foresee(num_train_epochs=6).training_seconds == pytest.approx(2 * foresee(num_train_epochs=3).training_seconds, rel=0.05)
    assert foresee(per_device_train_batch_size=8).work.tokens == foresee(per_device_train_batch_size=2).work.tokens
    assert foresee(eval_fraction=0.1).evaluation_seconds > 0


def test_known_gpus_have_their_speed_and_unknown_ones_a_careful_one() -> None:
    speeds = [
        flops_per_second(device_of("cuda", name), half=True, cores=1)
        for name in ("NVIDIA H100 PCIe", "NVIDIA A100", "No name", "Tesla T4")
    ]
    assert speeds[0] > speeds[1] > speeds[3] > speeds[2] > 0
    assert not device_of("cuda", "Tesla T4").bf16
    assert device_of("cuda", "NVIDIA L4").bf16


@pytest.mark.engine
@pytest.mark.parametrize(
    ("family", "options", "values"),
    [
        ("llama", {}, {}),
        ("llama", {}, {"per_device_train_batch_size": 1}),
        ("qwen2", {}, {}),
        ("mistral", {"sliding_window": 64}, {"max_length": 128}),
        ("mistral", {"sliding_window": 64}, {"max_length": 64}),
        ("mistral", {"sliding_window": None}, {}),
        ("gemma2", {}, {}),
        ("phi3", {"sliding_window": None}, {}),
        ("gpt2", {}, {}),
    ],
)
@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_it_pads_where_the_engine_pads(family: str, options: dict[str, Any], values: dict[str, Any], kind: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = SIZES if family != "gpt2" else {name: size for name, size in SIZES.items() if name != "intermediate_size"}
    made = AutoConfig.for_model(family, **(sizes | options))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    wanted, device = config(**values), Device(kind, kind, False)
    obstacle = fastpath._obstacle(SimpleNamespace(config=wanted), device, model)  # type: ignore[arg-type]
    padded = obstacle is not None and wanted.per_device_train_batch_size > 1
    assert pads(shape_from_config(model.config.to_dict()), wanted, device) == padded


def test_pairs_compute_the_prompt_they_share_once() -> None:
    def pairs(shared: float, device: Device = CPU) -> Forecast:
        return forecast(LLAMA, "dpo", config("dpo"), device, lengths=[80], rows=40, eval_rows=0, labelled=0.5, shared=shared)

    apart, together = pairs(0.0), pairs(0.25)
    assert together.work.tokens == apart.work.tokens == 40 * 2 * 80
    assert together.work.computed == 0.75 * apart.work.computed and together.plan.tokens == 0.75 * apart.plan.tokens
    assert together.plan.scored == pytest.approx(apart.plan.scored, abs=1)
    assert together.memory.expected < apart.memory.expected and together.training_seconds < apart.training_seconds
    assert pairs(0.25, Device("mps", "Apple GPU", False)).plan.tokens == apart.plan.tokens  # its batches are padded


def test_several_devices_share_the_rows() -> None:
    one, two = foresee(), foresee(num_gpus=2)
    assert two.work.tokens == pytest.approx(one.work.tokens, rel=0.05)
    assert two.work.computed == pytest.approx(one.work.computed / 2, rel=0.05)


def test_preferences_are_computed_in_full_precision_on_a_processor_that_could_do_less() -> None:
    able = device_of("cpu", "CPU", bf16=True)
    assert foresee("lora", able).plan.autocast and not foresee("dpo", able).plan.autocast
    assert foresee("dpo", able, bf16=True).plan.autocast


def test_float32_is_slower_where_the_processor_could_do_less() -> None:
    able, plain = device_of("cpu", "CPU", bf16=True), device_of("cpu", "CPU", bf16=False)
    speeds = [flops_per_second(device, half=half, cores=2) for device, half in ((able, True), (able, False), (plain, False))]
    assert speeds[0] > speeds[1] > speeds[2]


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_the_reference_is_asked_once_before_the_first_step_or_in_it(method: str) -> None:
    once, thrice = foresee(method, num_train_epochs=1.0), foresee(method, num_train_epochs=3.0)
    assert once.reference_seconds == pytest.approx(thrice.reference_seconds, rel=0.05) and once.reference_seconds > 0
    few = foresee(method, max_steps=2)
    per_token = few.computing_seconds / few.work.computed
    assert (
        few.reference_seconds == pytest.approx(once.reference_seconds / 11, rel=0.1)
        and per_token > 1.1 * once.computing_seconds / once.work.computed
    )
    moved = foresee(method, max_steps=2, init_lora_weights="pissa")
    assert moved.reference_seconds == pytest.approx(once.reference_seconds, rel=0.05)
