"""What a Hub repository is to us: which of its files a model needs, and why one can't be fine-tuned here. Pure functions."""

from __future__ import annotations

from pathlib import PurePosixPath

from finetune.core.hub_models import HubFile, HubModel

WEIGHTS = ".safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
SMALL = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md")
NAMED = ("license", "notice", "use_policy")
CAUSAL = ("ForCausalLM", "LMHeadModel")
TASKS = ("text-generation", "")
# Weights that are stored in so few bits that they can't be trained as they are.
QUANTIZED = ("gptq", "awq", "bitsandbytes", "compressed-tensors", "fp8", "mxfp4", "hqq", "aqlm", "exl2", "quanto")


def files_to_fetch(files: list[HubFile], *, pickled: bool = False) -> list[HubFile]:
    """The files a model needs: weights of the main folder in safetensors, configuration, tokenizer, card and licence.

    Empty when there are no safetensors weights; with `pickled`, PyTorch's own weights are taken then.
    """
    main = [file for file in files if "/" not in file.path and not file.path.startswith(".")]
    weights = _safetensors(main) or ([file for file in main if _is_pickled_weight(file)] if pickled else [])
    return [*(file for file in main if _is_small(file)), *weights] if weights else []


def _safetensors(main: list[HubFile]) -> list[HubFile]:
    """One set of weights: Mistral, say, puts the same ones there as consolidated.safetensors."""
    names = {file.path for file in main}
    if INDEX in names:
        return [file for file in main if file.path.startswith("model-") and file.path.endswith(WEIGHTS)]
    return [file for file in main if file.path == SINGLE]


def _is_pickled_weight(file: HubFile) -> bool:
    return file.path.startswith("pytorch_model") and file.path.endswith(".bin")


def _is_small(file: HubFile) -> bool:
    name = file.path.lower()
    return PurePosixPath(name).suffix in SMALL or name.startswith(NAMED)


def only_pickled(model: HubModel) -> bool:
    """Whether its weights exist in PyTorch's pickle format alone, which can run code when it is read."""
    return bool(model.files) and not files_to_fetch(model.files) and any(file.path.endswith(PICKLED) for file in model.files)


def untrainable(model: HubModel, *, allow_pickled: bool = False) -> str:
    """Why this model can't be fine-tuned here, in a sentence; empty when it can."""
    if "gguf" in model.tags and not model.parameters:
        return "It holds GGUF files, made for running a model. Fine-tune the model they were made from."
    if "mlx" in (model.library, *model.tags):
        return "Its weights are in MLX's format. Fine-tune the model they were made from."
    if model.library in ("peft", "adapter-transformers"):
        return "It is an adapter. Download its base model."
    if model.task not in TASKS and not model.architecture.endswith(CAUSAL):
        return f"Its task is {model.task}; text generation is what is fine-tuned here."
    if model.library not in ("transformers", ""):
        return f"It is made for {model.library}, not for transformers."
    if model.architecture and not model.architecture.endswith(CAUSAL):
        return f"{model.architecture} does not generate text one token after the other."
    return _storage(model, allow_pickled)


def _storage(model: HubModel, allow_pickled: bool) -> str:
    method = model.quantization or next((tag for tag in model.tags if tag in QUANTIZED), "")
    if method in QUANTIZED:
        return f"Its weights are quantised ({method}). Fine-tune the model they were made from, with QLoRA if memory is short."
    if "custom_code" in model.tags:
        return "It needs code from its own repository, which is not run here."
    if only_pickled(model) if model.files else model.parameters is None:
        return (
            ""
            if allow_pickled
            else "It has no safetensors weights. Pickled ones can run code when they are read, so they are refused."
        )
    if model.files and not files_to_fetch(model.files, pickled=allow_pickled):
        return "It has no weights in its main folder."
    return ""
