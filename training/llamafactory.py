"""The training file of LLaMA-Factory (`llamafactory-cli train FILE`), as our method and options. Names and defaults: its hparams."""

from __future__ import annotations

from typing import Any

NAME = "LLaMA-Factory"

# What its names are called here; many are transformers' own and the same.
NAMES = {
    "cutoff_len": "max_length",
    "lora_rank": "lora_r",
    "pref_beta": "beta",
    "pref_loss": "loss_type",
    "dpo_label_smoothing": "label_smoothing",
    "kto_chosen_weight": "desirable_weight",
    "kto_rejected_weight": "undesirable_weight",
    "early_stopping_steps": "early_stopping_patience",
    **{
        name: name
        for name in (
            "learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
            "lr_scheduler_type", "warmup_ratio", "warmup_steps", "optim", "adam_beta1", "adam_beta2", "adam_epsilon",
            "weight_decay", "max_grad_norm", "label_smoothing_factor", "seed", "lora_alpha", "lora_dropout", "use_rslora", "use_dora",
            "packing", "mask_history", "group_by_length", "neftune_noise_alpha", "bf16", "fp16", "torch_compile", "logging_steps",
            "eval_steps", "save_steps", "save_total_limit",
        )
    },
}  # fmt: skip
DEFAULTS = {
    "learning_rate": 5e-5, "num_train_epochs": 3.0, "per_device_train_batch_size": 8, "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0, "weight_decay": 0.0, "cutoff_len": 2048, "lora_rank": 8, "lora_dropout": 0.0, "pref_beta": 0.1,
    "pref_loss": "sigmoid", "seed": 42,
}  # fmt: skip
STAGES = {"pt": "pretrain", "sft": "sft", "dpo": "dpo", "kto": "kto"}
LOSSES = ("sigmoid", "hinge", "ipo", "orpo")


def wrote(values: dict[str, Any]) -> bool:
    return "stage" in values or "finetuning_type" in values


def method_of(values: dict[str, Any]) -> str:
    """One of ours, or in words why there is none."""
    stage, kind = str(values.get("stage", "sft")), values.get("finetuning_type", "lora")
    if stage not in STAGES:
        return f"the stage “{stage[:40]}” isn't here. Choose pt, sft, dpo or kto."
    if kind not in ("lora", "full"):
        return f"the finetuning_type “{str(kind)[:40]}” isn't here. Choose lora or full."
    if stage == "dpo" and values.get("pref_loss", "sigmoid") not in LOSSES:
        return f"the pref_loss “{str(values['pref_loss'])[:40]}” isn't here. Choose one of: {', '.join(LOSSES)}."
    if stage == "dpo" and values.get("pref_loss") == "orpo":
        return "orpo"
    if stage != "sft" or kind == "full":
        return STAGES[stage]
    return "qlora" if _in_four_bits(values) else "lora"


def understood(values: dict[str, Any]) -> set[str]:
    """Keys that decided the method or its adapter: nothing of them is left out."""
    return {"stage", "do_train", "finetuning_type", "pref_loss"} | ({"quantization_bit"} if _in_four_bits(values) else set())


def config_of(values: dict[str, Any], method: str) -> dict[str, tuple[str, Any]]:
    """Our options, each with the key of the file that says it and the value."""
    found = {NAMES[key]: (key, value) for key, value in {**DEFAULTS, **values}.items() if key in NAMES}
    if isinstance(rank := found["lora_r"][1], int):
        found.setdefault("lora_alpha", ("lora_rank", 2 * rank))
    found["lora_target_modules"] = ("lora_target", _targets(values.get("lora_target", "all")))
    found["eval_fraction"] = ("val_size", values.get("val_size", 0.0))
    found["gradient_checkpointing"] = ("disable_gradient_checkpointing", not values.get("disable_gradient_checkpointing", False))
    found["assistant_only_loss"] = ("train_on_prompt", not values.get("train_on_prompt", False))
    found["adapter"] = ("finetuning_type", _adapter(values))
    if values.get("neat_packing"):
        found["packing"] = ("neat_packing", True)
    elif method == "pretrain":
        found.setdefault("packing", ("packing", True))
    if values.get("pissa_init"):
        steps = values.get("pissa_iter", 16)
        found["init_lora_weights"] = ("pissa_init", "pissa" if steps == -1 else f"pissa_niter_{steps}")
    return found


def _in_four_bits(values: dict[str, Any]) -> bool:
    return values.get("quantization_bit") == 4


def _adapter(values: dict[str, Any]) -> str:
    if values.get("finetuning_type") == "full":
        return "none"
    return "qlora" if _in_four_bits(values) else "lora"


def _targets(said: Any) -> list[str]:
    return ["all-linear"] if said == "all" else [name.strip() for name in str(said).split(",") if name.strip()]
