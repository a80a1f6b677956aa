"""Models to begin with, by what they are good for: open weights in safetensors that people fine-tune, from 100 million to 70 billion."""

from __future__ import annotations

from finetune.core.hub_models import HubModel

# What people look for, in the order shown.
USES = {
    "start": "First steps and small machines",
    "chat": "Assistants",
    "reasoning": "Thinking before answering",
    "code": "Code",
    "base": "Bare models, to continue pre-training or to shape from the ground",
}
K = 1024


def _model(repo_id: str, millions: float, context: int, license: str = "apache-2.0", *, gated: bool = False) -> HubModel:
    return HubModel(
        repo_id=repo_id, author=repo_id.partition("/")[0], task="text-generation", library="transformers", license=license,
        parameters=int(millions * 1e6), weight_bytes=int(2 * millions * 1e6), context_length=context, gated=gated,
        tags=["transformers", "safetensors"],
    )  # fmt: skip


BY_USE: dict[str, tuple[HubModel, ...]] = {
    "start": (
        _model("HuggingFaceTB/SmolLM2-135M-Instruct", 134.5, 8 * K),
        _model("HuggingFaceTB/SmolLM2-360M-Instruct", 361.8, 8 * K),
        _model("Qwen/Qwen2.5-0.5B-Instruct", 494.0, 32 * K),
        _model("google/gemma-3-1b-it", 999.9, 32 * K, "gemma", gated=True),
        _model("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1100.0, 2 * K),
        _model("meta-llama/Llama-3.2-1B-Instruct", 1235.8, 128 * K, "llama3.2", gated=True),
    ),
    "chat": (
        _model("Qwen/Qwen2.5-1.5B-Instruct", 1543.7, 32 * K),
        _model("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1711.4, 8 * K),
        _model("meta-llama/Llama-3.2-3B-Instruct", 3212.7, 128 * K, "llama3.2", gated=True),
        _model("microsoft/Phi-4-mini-instruct", 3836.0, 128 * K, "mit"),
        _model("Qwen/Qwen3-4B-Instruct-2507", 4022.5, 256 * K),
        _model("mistralai/Mistral-7B-Instruct-v0.3", 7248.0, 32 * K),
        _model("Qwen/Qwen2.5-7B-Instruct", 7615.6, 32 * K),
        _model("meta-llama/Llama-3.1-8B-Instruct", 8030.3, 128 * K, "llama3.1", gated=True),
        _model("google/gemma-2-9b-it", 9241.7, 8 * K, "gemma", gated=True),
        _model("mistralai/Mistral-Nemo-Instruct-2407", 12247.8, 128 * K),
        _model("microsoft/phi-4", 14659.5, 16 * K, "mit"),
        _model("Qwen/Qwen2.5-32B-Instruct", 32763.9, 32 * K),
        _model("meta-llama/Llama-3.3-70B-Instruct", 70553.7, 128 * K, "llama3.3", gated=True),
        _model("Qwen/Qwen2.5-72B-Instruct", 72706.2, 32 * K, "other"),
    ),
    "reasoning": (
        _model("Qwen/Qwen3-0.6B", 751.6, 40 * K),
        _model("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1777.1, 128 * K, "mit"),
        _model("Qwen/Qwen3-1.7B", 2031.7, 40 * K),
        _model("HuggingFaceTB/SmolLM3-3B", 3075.1, 64 * K),
        _model("Qwen/Qwen3-8B", 8190.7, 40 * K),
        _model("Qwen/Qwen3-14B", 14768.3, 40 * K),
        _model("Qwen/Qwen3-32B", 32762.1, 40 * K),
    ),
    "code": (
        _model("Qwen/Qwen2.5-Coder-0.5B-Instruct", 494.0, 32 * K),
        _model("Qwen/Qwen2.5-Coder-1.5B-Instruct", 1543.7, 32 * K),
        _model("Qwen/Qwen2.5-Coder-7B-Instruct", 7615.6, 32 * K),
        _model("Qwen/Qwen2.5-Coder-32B-Instruct", 32763.9, 32 * K),
    ),
    "base": (
        _model("HuggingFaceTB/SmolLM2-135M", 134.5, 8 * K),
        _model("Qwen/Qwen2.5-0.5B", 494.0, 32 * K),
        _model("Qwen/Qwen2.5-1.5B", 1543.7, 128 * K),
        _model("meta-llama/Llama-3.1-8B", 8030.3, 128 * K, "llama3.1", gated=True),
    ),
}
POPULAR = tuple(sorted((model for models in BY_USE.values() for model in models), key=lambda model: model.parameters or 0))
USE_OF = {model.repo_id: use for use, models in BY_USE.items() for model in models}
