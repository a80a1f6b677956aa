"""Models to begin with, small to large: open weights in safetensors that people fine-tune."""

from __future__ import annotations

from finetune.core.hub_models import HubModel


def _model(repo_id: str, millions: float, license: str, *, gated: bool = False) -> HubModel:
    return HubModel(
        repo_id=repo_id, author=repo_id.partition("/")[0], task="text-generation", library="transformers", license=license,
        parameters=int(millions * 1e6), gated=gated, tags=["transformers", "safetensors"],
    )  # fmt: skip


POPULAR = (
    _model("HuggingFaceTB/SmolLM2-135M-Instruct", 134.5, "apache-2.0"),
    _model("HuggingFaceTB/SmolLM2-360M-Instruct", 361.8, "apache-2.0"),
    _model("Qwen/Qwen2.5-0.5B-Instruct", 494.0, "apache-2.0"),
    _model("Qwen/Qwen3-0.6B", 751.6, "apache-2.0"),
    _model("google/gemma-3-1b-it", 999.9, "gemma", gated=True),
    _model("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1100.0, "apache-2.0"),
    _model("meta-llama/Llama-3.2-1B-Instruct", 1235.8, "llama3.2", gated=True),
    _model("Qwen/Qwen2.5-1.5B-Instruct", 1543.7, "apache-2.0"),
    _model("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1711.4, "apache-2.0"),
    _model("Qwen/Qwen3-1.7B", 2031.7, "apache-2.0"),
    _model("HuggingFaceTB/SmolLM3-3B", 3075.1, "apache-2.0"),
    _model("meta-llama/Llama-3.2-3B-Instruct", 3212.7, "llama3.2", gated=True),
    _model("microsoft/Phi-4-mini-instruct", 3836.0, "mit"),
    _model("Qwen/Qwen3-4B-Instruct-2507", 4022.5, "apache-2.0"),
    _model("mistralai/Mistral-7B-Instruct-v0.3", 7248.0, "apache-2.0"),
    _model("Qwen/Qwen2.5-7B-Instruct", 7615.6, "apache-2.0"),
    _model("meta-llama/Llama-3.1-8B-Instruct", 8030.3, "llama3.1", gated=True),
    _model("Qwen/Qwen3-8B", 8190.7, "apache-2.0"),
    _model("google/gemma-2-9b-it", 9241.7, "gemma", gated=True),
    _model("mistralai/Mistral-Nemo-Instruct-2407", 12247.8, "apache-2.0"),
    _model("microsoft/phi-4", 14659.5, "mit"),
    _model("Qwen/Qwen3-14B", 14768.3, "apache-2.0"),
    _model("Qwen/Qwen2.5-32B-Instruct", 32763.9, "apache-2.0"),
    _model("Qwen/Qwen3-32B", 32762.1, "apache-2.0"),
    _model("meta-llama/Llama-3.3-70B-Instruct", 70553.7, "llama3.3", gated=True),
    _model("Qwen/Qwen2.5-72B-Instruct", 72706.2, "other"),
)
