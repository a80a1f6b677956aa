"""The files of a model as Ollama's own converters read them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.core.checksums import sha256_of
from models_app.models import LanguageModel
from models_app.programs import run_program

# Anything else would be swallowed as weights or refused.
SENT = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model")


@dataclass(frozen=True)
class Blob:
    """A file under the name that the create request gives it."""

    name: str
    file: Path
    sha256: str


def safetensors_blobs(source: Path, folder: Path) -> list[Blob]:
    """A directory's weights and a tokenizer and configuration that the converter understands (see `readable_config`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.safetensors")):
        os.link(path, folder / path.name)
    for name in SENT:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    config = folder / "config.json"
    config.write_text(json.dumps(readable_config(json.loads(config.read_text()))))
    _place_template(source, folder / "tokenizer_config.json")
    return [Blob(path.name, path, sha256_of(path)) for path in sorted(folder.iterdir())]


def readable_config(config: dict[str, Any]) -> dict[str, Any]:
    """transformers 5 writes `rope_parameters`; the converter reads `rope_theta` and `rope_scaling` and silently takes a default otherwise."""
    rope = dict(config.get("rope_parameters") or {})
    rope = rope.get("full_attention", rope)
    if not rope:
        return config
    known = {**config, "rope_theta": rope.get("rope_theta", 10000.0)}
    if rope.get("rope_type", "default") != "default":
        known["rope_scaling"] = {**rope, "type": rope["rope_type"]}
    return {**known, "torch_dtype": config.get("dtype") or config.get("torch_dtype")}


def _place_template(source: Path, file: Path) -> None:
    """The chat template in tokenizer_config.json, where the converter looks for it."""
    jinja = source / "chat_template.jinja"
    if file.exists() and jinja.exists():
        file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": jinja.read_text()}))


def adapter_blob(model: LanguageModel, file: Path, on_wait: Callable[[], None]) -> Blob:
    """The model's adapter as a GGUF file of its own."""
    assert model.base_model is not None
    places = (str(model.base_model.directory), str(model.directory), str(file))
    run_program("llamacpp.convert_adapter", *places, on_wait=on_wait, what="Writing the adapter as GGUF")
    return Blob(file.name, file, sha256_of(file))
