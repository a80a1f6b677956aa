"""How several devices share the work: what transformers' trainer is told for DDP, FSDP and DeepSpeed."""

from __future__ import annotations

from typing import Any

from .options import Config
from .ranks import PATIENCE


def strategy(config: Config) -> str:
    """none, ddp, fsdp or deepspeed: as asked, else ddp for several GPUs."""
    return config.distributed or ("ddp" if config.num_gpus > 1 else "none")


def trainer_arguments(config: Config, *, device: str, experts: bool = False) -> dict[str, Any]:
    """Keyword arguments of TrainingArguments for this way of sharing. `experts`: some weights may get no gradient in a step."""
    way = strategy(config)
    if way == "none":
        return {}
    shared = {"ddp_backend": "gloo" if device == "cpu" else None, "ddp_timeout": int(PATIENCE.total_seconds())}
    if way == "ddp":
        # Buffers (rotary tables) never change, and every adapter gets a gradient: looking for others costs each step.
        return shared | {"ddp_find_unused_parameters": experts, "ddp_broadcast_buffers": False}
    if way == "fsdp":
        return shared | {"fsdp": True, "fsdp_config": fsdp_config()}
    return shared | {"deepspeed": deepspeed_config(config)}


def fsdp_config() -> dict[str, Any]:
    """Each decoder layer is split over the ranks (FSDP 2, full shard); checkpoints hold the whole model."""
    return {
        "version": 2, "reshard_after_forward": True, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "FULL_STATE_DICT", "cpu_ram_efficient_loading": False,
    }  # fmt: skip


def keep_precision(settings: Any) -> Any:
    """The same TrainingArguments; under FSDP with bf16 only the layers compute in it. accelerate would also round the losses
    that come out of the model, and sum gradients in bf16."""
    if settings.fsdp_plugin_args and settings.bf16:
        import torch
        from torch.distributed.fsdp import MixedPrecisionPolicy

        settings.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=torch.float32
        )
    return settings


def deepspeed_config(config: Config) -> dict[str, Any]:
    """ZeRO stage 3, for models that don't fit one GPU; "auto" takes the trainer's own values, so nothing is said twice."""
    return {
        "zero_optimization": {
            "stage": 3, "overlap_comm": True, "contiguous_gradients": True, "stage3_gather_16bit_weights_on_model_save": True,
            "reduce_bucket_size": "auto", "stage3_prefetch_bucket_size": "auto", "stage3_param_persistence_threshold": "auto",
        },
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto" if config.max_grad_norm else 0.0,
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
    }  # fmt: skip
