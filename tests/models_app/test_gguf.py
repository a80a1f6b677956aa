"""GGUF files: what stands in them, value by value, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_app.inference.llamacpp import vocabulary
from models_app.inference.llamacpp.convert import TYPES, convert, permute, quantize_q8_0
from models_app.inference.llamacpp.families import CannotConvert
from tests.models_app.tiny_models import make_model


def reader(file: Path) -> Any:
    import gguf

    return gguf.GGUFReader(file)


def value(file: Any, key: str) -> Any:
    return file.get_field(key).contents()


@pytest.fixture(scope="module")
def files(tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gguf")
    for kind in TYPES:
        convert(tiny_dir, folder / f"{kind}.gguf", type=kind, name="Tiny phi3")
    return {kind: reader(folder / f"{kind}.gguf") for kind in TYPES}


def test_numbers_tokens_and_template(files: dict[str, Any], tiny_dir: Path) -> None:
    from transformers import AutoTokenizer

    file, tokenizer = files["f16"], AutoTokenizer.from_pretrained(tiny_dir)
    assert value(file, "general.architecture") == "llama"
    assert value(file, "general.name") == "Tiny phi 3"  # llama.cpp would look for Phi 3's special tokens
    assert value(file, "llama.embedding_length") == 48
    assert value(file, "llama.rope.freq_base") == 10000.0
    tokens = value(file, "tokenizer.ggml.tokens")
    assert [tokens.index(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")] == [0, 1, 2]
    assert value(file, "tokenizer.ggml.token_type")[:4] == [3, 3, 3, 1]
    assert value(file, "tokenizer.ggml.eos_token_id") == tokenizer.eos_token_id
    assert value(file, "tokenizer.ggml.pre") == "gpt-2"
    assert value(file, "tokenizer.chat_template") == tokenizer.chat_template
    assert not value(file, "tokenizer.ggml.add_bos_token")


def test_every_weight_has_its_value(files: dict[str, Any], tiny_dir: Path) -> None:
    from gguf import quants
    from safetensors.numpy import load_file

    weights = load_file(tiny_dir / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    for kind, close in (("f32", 0.0), ("f16", 1e-3), ("bf16", 1e-2)):
        tensor = next(tensor for tensor in files[kind].tensors if tensor.name == "token_embd.weight")
        found = quants.dequantize(tensor.data, tensor.tensor_type).reshape(embedding.shape)
        assert np.abs(found - embedding).max() <= close, kind
    for kind in TYPES:
        assert {tensor.name for tensor in files[kind].tensors} >= {"output.weight", "blk.1.ffn_norm.weight", "blk.0.attn_k.weight"}
        norm = next(tensor for tensor in files[kind].tensors if tensor.name == "output_norm.weight")
        assert norm.data.dtype == np.float32


def test_q8_0_is_ggmls_to_the_bit() -> None:
    import torch
    from gguf import GGMLQuantizationType, quants

    numbers = torch.randn(7, 96, generator=torch.Generator().manual_seed(3))
    numbers[0, :32], numbers[1, 5] = 0, 1e4
    wanted = quants.quantize(numbers.numpy(), GGMLQuantizationType.Q8_0)
    assert quantize_q8_0(numbers).numpy().tobytes() == wanted.tobytes()


def test_rotary_halves_become_neighbours() -> None:
    import torch

    rows = torch.arange(8).reshape(8, 1)
    assert permute(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_gemmas_norms_are_shifted_by_one(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    directory = make_model("gemma2", tmp_path / "model")
    convert(directory, tmp_path / "model.gguf", type="f32")
    weights = load_file(directory / "model.safetensors")
    found = {tensor.name: tensor.data for tensor in reader(tmp_path / "model.gguf").tensors}
    np.testing.assert_allclose(found["output_norm.weight"], weights["model.norm.weight"] + 1, rtol=1e-6)
    assert "output.weight" not in found  # tied


def changed(tiny_dir: Path, target: Path, file: str, **values: Any) -> Path:
    shutil.copytree(tiny_dir, target)
    (target / file).write_text(json.dumps({**json.loads((target / file).read_text()), **values}))
    return target


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("config.json", {"architectures": ["OddForCausalLM"]}, "OddForCausalLM"),
        ("config.json", {"quantization_config": {"bits": 4, "quant_method": "awq"}}, "quantised already"),
        (
            "config.json",
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "rope_theta": 1e4,
                    "short_factor": [1.0] * 6,
                    "long_factor": [1.0] * 6,
                    "original_max_position_embeddings": 64,
                }
            },
            "longrope",
        ),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "cutting text"),
    ],
)
def test_what_we_do_not_know_is_refused(file: str, values: dict, words: str, tiny_dir: Path, tmp_path: Path) -> None:
    directory = changed(tiny_dir, tmp_path / "model", file, **values)
    with pytest.raises(CannotConvert, match=words):
        convert(directory, tmp_path / "model.gguf", type="f16")
    assert not (tmp_path / "model.gguf").exists()


def test_the_ways_to_cut_text_that_have_a_name() -> None:
    def raw(*steps: dict) -> dict:
        return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}, "normalizer": None}

    levels = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    for pattern, name in vocabulary.CUTS.items():
        assert vocabulary.cut_of(raw({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}, levels)) == name
    assert vocabulary.cut_of(raw({"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"})) == "smollm"
    with pytest.raises(CannotConvert, match="no name"):
        vocabulary.cut_of(raw({"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated"}, levels))


def test_merges_that_scores_can_not_say_are_refused() -> None:
    model = {"vocab": dict.fromkeys(["a", "b", "c", "ab", "bc", "abc"], 0), "merges": [["a", "b"], ["ab", "c"]]}
    with pytest.raises(CannotConvert, match="SentencePiece"):
        vocabulary._scores({"model": model})
    model["merges"] = [["a", "b"], ["b", "c"], ["ab", "c"], ["a", "bc"]]
    assert vocabulary._scores({"model": model}) == {"ab": 0.0, "bc": -1.0, "abc": -2.0}
