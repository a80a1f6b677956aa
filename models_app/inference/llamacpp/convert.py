"""A model directory as one GGUF file: `python -m models_app.inference.llamacpp.convert MODEL FILE --type q8_0`.

Weights go from file to file in blocks, so memory holds a block (a whole matrix where rows have to change places). One-dimensional
weights and norms stay float32, as llama.cpp wants them; a matrix whose rows are no multiple of 32 can't be q8_0 and becomes f16.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from models_app.inference.progress import Progress
from models_app.inference.tensorfiles import FLOATS, BadWeights, Tensor, all_tensors, blocks, put, read

from .families import CannotConvert, Family, add_numbers, family_of, llama3_factors
from .vocabulary import add_vocabulary

TYPES = ("f32", "f16", "bf16", "q8_0")
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}  # llama_ftype
BLOCK = 32  # numbers that share a scale in q8_0
GROUPS = 8192  # of them worked on at a time, so that they stay in the processor's cache


def convert(directory: Path, file: Path, *, type: str, name: str = "", on_bytes: Callable[[int, int], None] | None = None) -> None:
    """Write the model in `directory` (Hugging Face layout, safetensors) as GGUF of one of TYPES; `name` is what it says of itself.

    CannotConvert for an architecture, tokenizer or rotary scaling that is not known; the file is then not there.
    """
    import gguf
    from transformers import AutoConfig

    config = _whole_config(AutoConfig.from_pretrained(directory, local_files_only=True), directory)
    family = family_of(config)
    tensors = all_tensors(directory)
    writer = gguf.GGUFWriter(None, family.arch)
    writer.add_type("model")
    writer.add_name(_harmless(name or directory.name))
    writer.add_file_type(FILE_TYPES[type])
    writer.add_quantization_version(2)
    add_numbers(writer, family, config)
    add_vocabulary(writer, directory, config["vocab_size"])
    plan = _plan(tensors, family, config, type)
    try:
        _write(writer, file, plan, family, config, on_bytes or (lambda done, total: None))
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _whole_config(config: Any, directory: Path) -> dict[str, Any]:
    """config.json with every default that its class has; the text part of a model that has several."""
    whole = json.loads(config.get_text_config().to_json_string(use_diff=False))
    whole["architectures"] = json.loads((directory / "config.json").read_text()).get("architectures")
    return whole


def _harmless(name: str) -> str:
    """llama.cpp looks for Phi 3's special tokens in every file whose name sounds like it, and fails where they are missing."""
    return re.sub(r"(?i)phi-?3", "phi 3", name)


def _plan(tensors: dict[str, Tensor], family: Family, config: dict[str, Any], type: str) -> list[tuple[Tensor, str, str]]:
    """(tensor, its GGUF name, its type) of all that goes into the file."""
    import gguf

    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == family.arch)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    plan = []
    for tensor in tensors.values():
        if tensor.name.endswith(".rotary_emb.inv_freq") or (tensor.name == "lm_head.weight" and config.get("tie_word_embeddings")):
            continue
        name = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        if name is None or tensor.dtype not in FLOATS:
            raise CannotConvert(f"its weight {tensor.name} ({tensor.dtype}) has no place in {family.arch}")
        plan.append((tensor, name, _type_of(tensor, type)))
    return plan


def _type_of(tensor: Tensor, type: str) -> str:
    if len(tensor.shape) < 2 or tensor.name.endswith("norm.weight"):
        return "f32"
    return "f16" if type == "q8_0" and tensor.shape[-1] % BLOCK else type


def size_of(tensor: Tensor, type: str) -> int:
    """Bytes of a tensor in a GGUF type."""
    if type == "q8_0":
        return tensor.elements // BLOCK * (BLOCK + 2)
    return tensor.elements * (4 if type == "f32" else 2)


def _write(
    writer: Any,
    file: Path,
    plan: list[tuple[Tensor, str, str]],
    family: Family,
    config: dict[str, Any],
    on_bytes: Callable[[int, int], None],
) -> None:
    import gguf
    import numpy as np
    import torch

    kinds = {name: gguf.GGMLQuantizationType[name.upper()] for name in TYPES}
    factors = llama3_factors(config)
    if factors:
        writer.add_tensor_info("rope_freqs.weight", (len(factors),), np.dtype(np.float32), 4 * len(factors), kinds["f32"])
    for tensor, name, type in plan:
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32), size_of(tensor, type), kinds[type])
    writer.write_header_to_file(file)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    stream = writer.fout[0]
    writer.write_padding(stream, stream.tell())
    if factors:
        writer.write_padding(stream, put(stream, torch.tensor(factors)))
    done, total = 0, sum(size_of(tensor, type) for tensor, _, type in plan)
    for tensor, name, type in plan:
        written = 0
        for block in _changed(tensor, family, config):
            written += put(stream, as_type(block, type))
            on_bytes(done + written, total)
        if written != size_of(tensor, type):
            raise BadWeights(f"{tensor.name} became {written} bytes as {name}")
        writer.write_padding(stream, written)
        done += written
    writer.close()


def _changed(tensor: Tensor, family: Family, config: dict[str, Any]) -> Iterator[Any]:
    """The tensor's blocks as llama.cpp wants the numbers."""
    heads = _permuted_heads(tensor.name, config) if family.permuted else 0
    if heads:
        yield permute(read(tensor), heads)
        return
    shift = family.shifted and tensor.name.endswith("norm.weight")
    for block in blocks(tensor):
        yield block.float() + 1 if shift else block


def _permuted_heads(name: str, config: dict[str, Any]) -> int:
    if ".self_attn.q_proj." in name:
        return config["num_attention_heads"]
    return (config.get("num_key_value_heads") or config["num_attention_heads"]) if ".self_attn.k_proj." in name else 0


def permute(weight: Any, heads: int) -> Any:
    """Rows of a head in pairs (0, d/2), (1, d/2 + 1) …: llama.cpp turns neighbours where transformers turns halves."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def as_type(block: Any, type: str) -> Any:
    """The block's numbers in a GGUF type, as a torch tensor whose bytes are to be written."""
    import torch

    if type == "q8_0":
        return quantize_q8_0(block)
    return block.to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[type])


def quantize_q8_0(block: Any) -> Any:
    """32 numbers as a float16 scale (largest / 127) and 32 int8, rounded half away from zero, bit for bit as ggml's reference."""
    import torch

    groups = block.reshape(-1, BLOCK)
    packed = torch.empty(groups.shape[0], BLOCK + 2, dtype=torch.uint8)
    for some, place in zip(groups.split(GROUPS), packed.split(GROUPS), strict=True):
        numbers = some.float()
        scale = numbers.abs().amax(1, keepdim=True).div_(127)
        numbers = numbers * torch.where(scale == 0, 0.0, 1 / scale)
        sizes = numbers.abs()
        whole = sizes.floor()
        rounded = sizes.sub_(whole).mul_(2).floor_().add_(whole).copysign_(numbers)
        place[:, :2] = scale.to(torch.float16).view(torch.uint8)
        place[:, 2:] = rounded.to(torch.int8).view(torch.uint8)
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--type", choices=TYPES, default="f16")
    parser.add_argument("--name", default="")
    parser.add_argument("--progress", type=Path)
    given = parser.parse_args()
    try:
        convert(given.model, given.file, type=given.type, name=given.name, on_bytes=Progress(given.progress))
    except (CannotConvert, BadWeights) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
