"""Every family's count is held against the model transformers really builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.engine.families import FAMILIES
from training.engine.shapes import ShapeError, read_shape, shape_from_config

SMALL = {
    "vocab_size": 96, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"tie_word_embeddings": False}),
    ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    ("llama", {"head_dim": 20}),
    ("smollm3", {}),
    ("mistral", {}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen2", {}),
    ("qwen3", {}),
    ("qwen3", {"head_dim": 16}),
    ("olmo2", {}),
    ("gemma", {}),
    ("gemma2", {"head_dim": 16}),
    ("gemma3_text", {}),
    ("phi", {}),
    ("phi3", {}),
    ("gpt2", {}),
    ("gpt2", {"n_inner": 80}),
    ("gpt_neox", {}),
]


def real_model(family: str, options: dict[str, Any]) -> Any:
    """The model on the meta device: every tensor's shape, no memory."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = SMALL if family != "gpt2" else {name: size for name, size in SMALL.items() if name != "intermediate_size"}
    config = AutoConfig.for_model(family, **(sizes | options))
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_every_known_family_is_held_against_its_model() -> None:
    assert {family for family, _ in CASES} == set(FAMILIES)


@pytest.mark.engine
@pytest.mark.parametrize(("family", "options"), CASES)
def test_it_counts_a_known_family_exactly(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = real_model(family, options)
    model.config.save_pretrained(tmp_path)
    shape = shape_from_config(json.loads((tmp_path / "config.json").read_text()))
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert shape.tied == (model.get_output_embeddings().weight is model.get_input_embeddings().weight)
    assert shape.embedding >= model.get_input_embeddings().weight.numel()


@pytest.mark.engine
@pytest.mark.parametrize(
    ("family", "wanted"),
    [("llama", ["all-linear"]), ("llama", ["q_proj", "v_proj"]), ("gpt2", ["all-linear"]), ("phi3", ["all-linear"])],
)
@pytest.mark.parametrize("dora", [False, True])
def test_it_counts_an_adapter_as_peft_does(family: str, wanted: list[str], dora: bool, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = real_model(family, {})
    model.config.save_pretrained(tmp_path)
    shape = shape_from_config(json.loads((tmp_path / "config.json").read_text()))
    targets = "all-linear" if wanted == ["all-linear"] else wanted
    adapted = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=targets, use_dora=dora, fan_in_fan_out=family == "gpt2")
    )
    trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert shape.adapter_parameters(4, wanted, dora=dora) == trained


@pytest.mark.engine
def test_it_measures_an_unknown_family_from_the_headers(tiny_model: Path, tmp_path: Path) -> None:
    known = read_shape(tiny_model)
    config = json.loads((tiny_model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "never-heard-of"}))
    (tmp_path / "model.safetensors").symlink_to(tiny_model / "model.safetensors")
    measured = read_shape(tmp_path)
    assert measured.parameters == known.parameters
    assert (measured.attention, measured.mlp, measured.norms, measured.embedding) == (
        known.attention, known.mlp, known.norms, known.embedding,
    )  # fmt: skip
    assert {linear.name for linear in measured.linears} == {linear.name for linear in known.linears}
    assert measured.stored_bytes == 4


def test_it_refuses_an_unknown_family_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"model_type": "never-heard-of"}))
    with pytest.raises(ShapeError, match="never-heard-of"):
        read_shape(tmp_path)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"model_type": "llama", "hidden_size": 8}'])
def test_it_refuses_a_config_that_does_not_tell(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ShapeError, match=r"config\.json"):
        read_shape(tmp_path)
