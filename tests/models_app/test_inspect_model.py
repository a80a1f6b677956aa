"""Facts are read from the files, without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from finetune.core.errors import Invalid
from models_app.inspect_model import inspect_model

CONFIG = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 512}


def safetensors(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A file with a header only; that is all the reader looks at."""
    header = {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for name, (dtype, shape) in tensors.items()}
    content = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content)


def test_shards_are_added_up_and_the_common_dtype_wins(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    safetensors(tmp_path / "model-1.safetensors", {"a": ("BF16", [100, 10])})
    safetensors(tmp_path / "model-2.safetensors", {"b": ("F32", [3]), "c": ("BF16", [])})
    facts = inspect_model(tmp_path)
    assert (facts.parameters, facts.dtype, facts.architecture, facts.context_length) == (1004, "bfloat16", "LlamaForCausalLM", 512)
    assert facts.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert not facts.adapter


@pytest.mark.parametrize(
    ("config", "length"),
    [({"n_positions": 1024}, 1024), ({"text_config": {"max_position_embeddings": 8192}}, 8192), ({}, None)],
)
def test_the_context_length_has_several_names(tmp_path: Path, config: dict, length: int | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    safetensors(tmp_path / "model.safetensors", {"a": ("F16", [2])})
    assert inspect_model(tmp_path).context_length == length


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Hi", "apache-2.0"),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("# No front matter\nlicense: mit", ""),
    ],
)
def test_the_licence_is_the_cards(tmp_path: Path, card: str, expected: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    safetensors(tmp_path / "model.safetensors", {"a": ("F16", [2])})
    (tmp_path / "README.md").write_text(card)
    assert inspect_model(tmp_path).license == expected


def test_an_adapter_counts_its_own(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    safetensors(tmp_path / "adapter_model.safetensors", {"a": ("F32", [8, 4]), "b": ("F32", [4, 8])})
    facts = inspect_model(tmp_path)
    assert (facts.adapter, facts.parameters, facts.dtype) == (True, 64, "float32")


@pytest.mark.parametrize("content", [b"", b"torn", struct.pack("<Q", 2**60), struct.pack("<Q", 5) + b"{}"])
def test_a_torn_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(Invalid, match=r"model\.safetensors"):
        inspect_model(tmp_path)


@pytest.mark.parametrize("config", [None, "{", "[]"])
def test_a_bad_config_is_refused_by_name(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(Invalid, match=r"config\.json"):
        inspect_model(tmp_path)
