"""What fits which device: the verdicts follow the estimator, for sizes alone and for a known configuration."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from training import fit as module
from training.devices import Device
from training.fit import fit

GIB = 1024**3


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(kind: str, *gibibytes: int | None) -> None:
        devices = [Device(f"{kind}:{n}", kind, "RTX 4090", "host", size and size * GIB, 0, 0.0) for n, size in enumerate(gibibytes)]
        monkeypatch.setattr(module, "worker_devices", lambda: devices)
        module._kinds.cache_clear()

    yield put
    module._kinds.cache_clear()


@pytest.mark.parametrize(
    ("billions", "verdict"), [(0.135, "ok"), (1.2, "ok"), (8, "ok"), (14, "tight"), (32, "tight"), (70, "too_big")]
)
def test_a_24_gb_gpu(on: Callable, billions: float, verdict: str) -> None:
    on("cuda", 24)
    assert fit(int(billions * 1e9))["verdict"] == verdict


def test_the_largest_of_several_counts_and_qlora_is_named(on: Callable) -> None:
    on("cuda", 24, 80)
    assert fit(14_000_000_000)["verdict"] == "ok"
    assert "QLoRA" in fit(70_000_000_000)["words"]


def verdicts(found: dict, device: int = 0) -> dict[str, str]:
    return {each["method"]: each["verdict"] for each in found["devices"][device]["methods"]}


def test_every_method_is_told_for_every_kind_of_device(on: Callable) -> None:
    on("cuda", 24, 80, 80)
    large, small = fit(8_000_000_000)["devices"]
    assert (large["count"], small["count"], large["memory_bytes"]) == (2, 1, 80 * GIB)
    assert verdicts(fit(8_000_000_000)) == dict.fromkeys(("qlora", "lora", "dpo", "orpo", "kto", "pretrain"), "ok") | {
        "sft": "too_big"
    }
    assert set(verdicts(fit(1_200_000_000)).values()) == {"ok"}
    assert verdicts(fit(14_000_000_000), device=1)["dpo"] == "too_big"
    needed = {each["method"]: each["needed_bytes"] for each in large["methods"]}
    assert needed["qlora"] < needed["lora"] <= needed["dpo"] < needed["sft"]


def test_a_mac_has_no_qlora_and_a_processor_has(on: Callable) -> None:
    on("mps", 24)
    assert "qlora" not in verdicts(fit(1_200_000_000))
    on("cpu", 24)
    assert verdicts(fit(1_200_000_000))["qlora"] == "ok"


def test_what_is_not_known_is_unknown(on: Callable) -> None:
    on("cuda", 24)
    assert fit(None)["verdict"] == "unknown"
    on("mps", None)
    assert fit(1_000_000)["verdict"] == "unknown"
    assert set(verdicts(fit(1_000_000)).values()) == {"unknown"}


def test_more_parameters_never_need_less(on: Callable) -> None:
    on("cuda", 24)
    needed = [fit(int(10**power))["needed_bytes"] for power in (7.5, 8, 8.3, 8.8, 9, 9.3, 9.7)]
    assert needed == sorted(needed)


def test_a_configuration_makes_it_exact_and_a_broken_one_does_no_harm(on: Callable) -> None:
    on("cuda", 24)
    sizes = {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
    }
    exact = fit(1_235_814_400, {"model_type": "llama", "vocab_size": 128256, "tie_word_embeddings": True, **sizes})
    assert exact["needed_bytes"] > 1_235_814_400 * 2
    assert exact["needed_bytes"] != fit(1_235_814_400)["needed_bytes"]
    for broken in (
        {"model_type": "llama"},
        {"model_type": "llama", "hidden_size": "x"},
        {"model_type": ["llama"]},
        {"hidden_size": 3},
        {"model_type": "llama", "sliding_window": [1], **sizes},
    ):
        assert fit(1_235_814_400, broken)["verdict"] == "ok"
