"""The training file of Axolotl (`axolotl train FILE`), as our method and options. Names and defaults: its schemas."""

from __future__ import annotations

from typing import Any

NAME = "Axolotl"

# What its names are called here.
NAMES = {
    "sequence_len": "max_length",
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "optimizer": "optim",
    "lr_scheduler": "lr_scheduler_type",
    "peft_use_dora": "use_dora",
    "peft_use_rslora": "use_rslora",
    "sample_packing": "packing",
    "val_set_size": "eval_fraction",
    "rl_beta": "beta",
    "dpo_beta": "beta",
    "orpo_alpha": "beta",
    "dpo_label_smoothing": "label_smoothing",
    "kto_desirable_weight": "desirable_weight",
    "kto_undesirable_weight": "undesirable_weight",
    **{
        name: name
        for name in (
            "learning_rate", "max_steps", "gradient_accumulation_steps", "warmup_ratio", "warmup_steps", "adam_beta1", "adam_beta2",
            "adam_epsilon", "weight_decay", "max_grad_norm", "seed", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules",
            "group_by_length", "neftune_noise_alpha", "fp16", "gradient_checkpointing", "torch_compile", "logging_steps", "eval_steps",
            "save_steps", "save_total_limit", "early_stopping_patience", "chat_template",
        )
    },
}  # fmt: skip
DEFAULTS = {
    "sequence_len": 512, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1.0, "lr_scheduler": "cosine",
    "optimizer": "adamw_torch_fused", "weight_decay": 0.0, "val_set_size": 0.0, "lora_dropout": 0.0, "seed": 42,
}  # fmt: skip
LOSSES = {"dpo": "sigmoid", "ipo": "ipo"}


def wrote(values: dict[str, Any]) -> bool:
    return "base_model" in values and bool({"micro_batch_size", "sequence_len", "adapter", "num_epochs"} & set(values))


def method_of(values: dict[str, Any]) -> str:
    """One of ours, or in words why there is none."""
    adapter, wish = values.get("adapter"), str(values.get("rl", ""))
    if adapter not in (None, "lora", "qlora"):
        return f"the adapter “{str(adapter)[:40]}” isn't here. Choose lora, qlora or none."
    if not wish and _reads_text(values):
        return "pretrain"
    if not wish:
        return "sft" if adapter is None else "qlora" if _in_four_bits(values) else "lora"
    if wish in LOSSES:
        return "dpo"
    return wish if wish in ("orpo", "kto") else f"rl: {wish[:40]} isn't here. Choose dpo, ipo, orpo or kto."


def understood(values: dict[str, Any]) -> set[str]:
    """Keys that decided the method or its adapter: nothing of them is left out. bf16 is taken or, with auto, open as here."""
    return {"adapter", "load_in_4bit", "rl", "bf16"}


def config_of(values: dict[str, Any], method: str) -> dict[str, tuple[str, Any]]:
    """Our options, each with the key of the file that says it and the value."""
    found = {NAMES[key]: (key, value) for key, value in {**DEFAULTS, **values}.items() if key in NAMES}
    if values.get("lora_target_linear"):
        found["lora_target_modules"] = ("lora_target_linear", ["all-linear"])
    if isinstance(values.get("bf16"), bool):
        found["bf16"] = ("bf16", values["bf16"])
    found["assistant_only_loss"] = ("train_on_inputs", not values.get("train_on_inputs", False))
    found["adapter"] = ("adapter", "none" if not values.get("adapter") else "qlora" if _in_four_bits(values) else "lora")
    if values.get("rl") in LOSSES:
        found["loss_type"] = ("rl", LOSSES[values["rl"]])
    return found


def _in_four_bits(values: dict[str, Any]) -> bool:
    return values.get("adapter") == "qlora" or (values.get("adapter") == "lora" and values.get("load_in_4bit") is True)


def _reads_text(values: dict[str, Any]) -> bool:
    sets = values.get("datasets")
    kinds = [str(each.get("type")) for each in sets if isinstance(each, dict)] if isinstance(sets, list) else []
    return "pretraining_dataset" in values or (bool(kinds) and set(kinds) == {"completion"})
