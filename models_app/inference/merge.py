"""An adapter merged into its base: `python -m models_app.inference.merge BASE ADAPTER OUTPUT`, in a process of its own.

The base's files are read and written one tensor at a time, so memory holds the adapter and the largest matrix that it changes.
PEFT's own layers do the arithmetic, in float32. What can't be done piece by piece (replaced modules, grown vocabularies, adapters
that are not plain LoRA, rsLoRA or DoRA) is merged by PEFT in memory, which takes the whole base once.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .merge_plan import adapter_config, is_plain
from .progress import Progress
from .tensorfiles import FLOATS, INDEX, NAMES, TORCH, BadWeights, Tensor, all_tensors, blocks, read, tensors_in, weight_files, write

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
             "chat_template.jinja")  # fmt: skip
OF_THE_BASE = ("generation_config.json", "tokenizer.model", "LICENSE", "LICENSE.txt", "NOTICE")


def merge(
    base: Path, adapter: Path | None, output: Path, *, dtype: str = "", on_bytes: Callable[[int, int], None] | None = None
) -> bool:
    """Write the merged model to `output` in safetensors, in the base's number formats or all in `dtype` (bf16, fp16, fp32).

    The adapter's tokenizer comes along where it has one, else the base's. Without an adapter only the number format changes. True when
    it went piece by piece.
    """
    output.mkdir(parents=True, exist_ok=True)
    layers = _layers(base, adapter) if adapter else {}
    if layers is None and adapter:
        _merge_whole(base, adapter, output, dtype)
        return False
    _merge_pieces(base, layers or {}, output, DTYPES.get(dtype, ""), on_bytes or (lambda done, total: None))
    _copy_rest(base, adapter or base, output, DTYPES.get(dtype, ""))
    return True


def _layers(base: Path, adapter: Path) -> dict[str, Any] | None:
    """PEFT's layers by the name of the weight each one changes, on a base without memory; None where that is not enough."""
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoConfig, AutoModelForCausalLM

    if not is_plain(adapter_config(adapter)) or _grown(base, adapter):
        return None
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base, local_files_only=True), dtype=torch.float32)
    _stand_in(empty)
    model = PeftModel.from_pretrained(empty, str(adapter), low_cpu_mem_usage=True)
    prefix = "base_model.model."
    found: dict[str, Any] = {
        f"{name.removeprefix(prefix)}.weight": part for name, part in model.named_modules() if isinstance(part, LoraLayer)
    }
    there = all_tensors(base)
    for name, layer in found.items():
        if name not in there or tuple(_weight(layer).shape) != there[name].shape:
            return None
    return found


def _weight(layer: Any) -> Any:
    return layer.get_base_layer().weight


def _stand_in(model: Any) -> None:
    """One number in place of each weight: of the right shape, on the processor (PEFT moves an adapter to where its base is)."""
    import torch

    for part in model.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = torch.nn.Parameter(torch.ones(1).expand(weight.shape), requires_grad=False)


def _grown(base: Path, adapter: Path) -> bool:
    """Whether the adapter's tokenizer has tokens that the base has no rows for."""
    from transformers import AutoConfig, AutoTokenizer

    if not (adapter / "tokenizer_config.json").exists():
        return False
    rows = AutoConfig.from_pretrained(base, local_files_only=True).get_text_config().vocab_size
    return len(AutoTokenizer.from_pretrained(adapter, local_files_only=True)) > rows


def _merge_pieces(base: Path, layers: dict[str, Any], output: Path, dtype: str, on_bytes: Callable[[int, int], None]) -> None:
    files = weight_files(base)
    total, done = sum(file.stat().st_size for file in files), 0
    index: dict[str, str] = {}
    for file in files:
        tensors = tensors_in(file)
        planned = [(tensor.name, _target(tensor, dtype), tensor.shape) for tensor in tensors]

        def parts(tensors: list[Tensor] = tensors, begun: int = done) -> Iterator[Iterator[Any]]:
            for tensor in tensors:
                yield _merged(tensor, layers.get(tensor.name), _target(tensor, dtype))
                on_bytes(begun + tensor.begin + tensor.bytes, total)

        write(output / file.name, planned, parts())
        done += file.stat().st_size
        index |= {tensor.name: file.name for tensor in tensors}
    on_bytes(total, total)
    if (base / INDEX).exists():
        size = sum(piece.bytes for piece in all_pieces(output, index))
        (output / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2, sort_keys=True))


def all_pieces(output: Path, index: dict[str, str]) -> list[Tensor]:
    """Every tensor of the files that the index names."""
    return [tensor for name in sorted(set(index.values())) for tensor in tensors_in(output / name)]


def _target(tensor: Tensor, dtype: str) -> str:
    return NAMES[dtype] if dtype and tensor.dtype in FLOATS else tensor.dtype


def _merged(tensor: Tensor, layer: Any, dtype: str) -> Iterator[Any]:
    import torch

    wanted = getattr(torch, TORCH[dtype])
    if layer is None:
        for block in blocks(tensor):
            yield block.to(wanted)
        return
    base = layer.get_base_layer()
    empty = base.weight
    base.weight = torch.nn.Parameter(read(tensor).float(), requires_grad=False)
    with torch.no_grad():
        layer.merge()
    result = base.weight.data.to(wanted)
    base.weight = empty
    if not torch.isfinite(result).all():
        raise BadWeights(f"the adapter makes {tensor.name} infinite or not a number in {TORCH[dtype]}")
    yield result


def _copy_rest(base: Path, adapter: Path, output: Path, dtype: str) -> None:
    """Configuration, and the tokenizer's files as they are."""
    config = json.loads((base / "config.json").read_text())
    if dtype:
        config.pop("torch_dtype", None)
        config["dtype"] = dtype
    (output / "config.json").write_text(json.dumps(config, indent=2))
    home = adapter if (adapter / "tokenizer_config.json").exists() else base
    for folder, names in ((home, TOKENIZER), (base, OF_THE_BASE)):
        for name in names:
            if (folder / name).exists():
                shutil.copyfile(folder / name, output / name)


def _merge_whole(base: Path, adapter: Path, output: Path, dtype: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wanted = getattr(torch, DTYPES[dtype]) if dtype else "auto"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=wanted, local_files_only=True)
    tokenizer_home = adapter if (adapter / "tokenizer_config.json").exists() else base
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_home, local_files_only=True)
    rows: Any = model.get_input_embeddings().weight
    if len(tokenizer) > rows.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    merged.save_pretrained(output)
    tokenizer.save_pretrained(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "adapter", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dtype", choices=list(DTYPES), default="")
    parser.add_argument("--progress", type=Path)
    given = parser.parse_args()
    merge(
        given.base,
        None if str(given.adapter) == "-" else given.adapter,
        given.output,
        dtype=given.dtype,
        on_bytes=Progress(given.progress),
    )


if __name__ == "__main__":
    main()
