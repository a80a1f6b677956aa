"""A LoRA adapter as a GGUF file: `python -m models_app.inference.llamacpp.convert_adapter BASE ADAPTER FILE`.

llama.cpp adds (alpha / rank) · B · A to the weight that the tensors are named after. Where a base's rows change places (Llama's queries
and keys), those of B do too.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

from models_app.inference.tensorfiles import BadWeights, Tensor, read, tensors_in

from .convert import _permuted_heads, _whole_config, permute
from .families import CannotConvert, family_of

NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


def convert_adapter(base: Path, adapter: Path, file: Path) -> None:
    """Write the adapter's matrices in float32. CannotConvert for anything but plain LoRA or rsLoRA of one rank."""
    import gguf
    import numpy as np
    from transformers import AutoConfig

    config = _whole_config(AutoConfig.from_pretrained(base, local_files_only=True), base)
    family = family_of(config)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    alpha = _alpha(settings)
    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == family.arch)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(file, family.arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_string("general.name", adapter.name)
    for tensor in tensors_in(adapter / "adapter_model.safetensors"):
        name, weight = _placed(tensor, names, config, permuted=family.permuted)
        writer.add_tensor(name, weight.float().contiguous().numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _alpha(settings: dict[str, Any]) -> float:
    plain = settings.get("peft_type") == "LORA" and not settings.get("use_dora") and settings.get("bias", "none") == "none"
    if not plain or settings.get("rank_pattern") or settings.get("alpha_pattern") or settings.get("modules_to_save"):
        raise CannotConvert("llama.cpp only knows plain LoRA adapters of one rank; export this one merged")
    rank, alpha = settings["r"], settings["lora_alpha"]
    return float(alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha)


def _placed(tensor: Tensor, names: Any, config: dict[str, Any], *, permuted: bool) -> tuple[str, Any]:
    found = NAME.fullmatch(tensor.name)
    place = names.get_name(f"{found[1]}.weight", try_suffixes=(".weight",)) if found else None
    if not found or place is None:
        raise CannotConvert(f"the adapter's {tensor.name} has no place in llama.cpp's model")
    weight = read(tensor)
    heads = _permuted_heads(f"{found[1]}.", config) if permuted and found[2] == "B" else 0
    return f"{place}.lora_{found[2].lower()}", permute(weight, heads) if heads else weight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "adapter", "file"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    try:
        convert_adapter(given.base, given.adapter, given.file)
    except (CannotConvert, BadWeights) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
