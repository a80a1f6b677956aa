"""An adapter merged into its base tensor by tensor says what base and adapter say together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models_app.inference.merge import merge
from models_app.inference.tensorfiles import BadWeights, all_tensors, read, tensors_in, write
from models_app.inference.verify_merge import verify_merge

KINDS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
    "ranks of their own": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"k_proj": 16}},
    "a new head": {"modules_to_save": ["lm_head"]},
}


@pytest.fixture(scope="module")
def base(tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in several files."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = tmp_path_factory.mktemp("base")
    AutoModelForCausalLM.from_pretrained(tiny_dir).save_pretrained(directory, max_shard_size="100KB")
    AutoTokenizer.from_pretrained(tiny_dir).save_pretrained(directory)
    return directory


def make_adapter(base: Path, directory: Path, **options: Any) -> Path:
    """As a run leaves it: PiSSA's is saved for the untouched base (training/engine/adapter.py)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(**{"r": 4, "target_modules": "all-linear", "init_lora_weights": False, **options})
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    initial = {}
    if "init_lora_weights" in options:
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(directory / "initial")
        initial = {"path_initial_model_for_weight_conversion": str(directory / "initial")}
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data += torch.randn_like(weight) * 0.05
    model.save_pretrained(directory, **initial)
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_agree(kind: str, base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", **KINDS[kind])
    assert merge(base, adapter, tmp_path / "merged") == (kind != "a new head")
    verdict = verify_merge(base, adapter, tmp_path / "merged")
    assert verdict["agrees"] and verdict["same_next_tokens"] == verdict["tokens"] > 20


@pytest.mark.parametrize(("dtype", "stored"), [("bf16", "BF16"), ("fp16", "F16"), ("fp32", "F32")])
def test_into_the_number_format_that_is_asked_for(dtype: str, stored: str, base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    told: list[tuple[int, int]] = []
    merge(base, adapter, tmp_path / "merged", dtype=dtype, on_bytes=lambda done, total: told.append((done, total)))
    assert {tensor.dtype for tensor in all_tensors(tmp_path / "merged").values()} == {stored}
    assert told == sorted(told) and told[-1][0] == told[-1][1]
    assert verify_merge(base, adapter, tmp_path / "merged")["agrees"]
    assert json.loads((tmp_path / "merged/model.safetensors.index.json").read_text())["metadata"]["total_size"] > 0


def test_another_adapters_result_does_not_agree(base: Path, tmp_path: Path) -> None:
    merge(base, make_adapter(base, tmp_path / "one"), tmp_path / "merged")
    other = make_adapter(base, tmp_path / "other", use_rslora=True)
    assert not verify_merge(base, other, tmp_path / "merged")["agrees"]


def test_a_broken_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter")
    tensors = tensors_in(adapter / "adapter_model.safetensors")
    broken = [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]
    weights = [read(tensor) for tensor in tensors]
    weights[0][0, 0] = float("nan")
    write(adapter / "adapter_model.safetensors", broken, ([weight] for weight in weights))
    with pytest.raises(BadWeights, match="not a number"):
        merge(base, adapter, tmp_path / "merged")
