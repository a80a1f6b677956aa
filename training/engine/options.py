"""The one place every hyper-parameter is declared: what there is, what it does, its bounds and the reason of its default.

The API's serializer, the HTML form, the command line's help and the table in the docs are generated from Config
(training/spec_fields.py), so they can't drift. Names are those of transformers, TRL and PEFT. Checking values is checks.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

METHODS: dict[str, str] = {
    "lora": "Train small low-rank adapters; the base model stays frozen. The best start for almost everyone.",
    "qlora": "LoRA over a base held in four bits: the least memory, a little slower. The result is an ordinary adapter.",
    "sft": "Train every weight of the model on examples. Needs the most memory.",
}
# The kinds of dataset (datasets_app) each method can learn from.
METHOD_KINDS: dict[str, tuple[str, ...]] = {"lora": ("sft", "text"), "qlora": ("sft", "text"), "sft": ("sft", "text")}
# Which of them an option means something to, where not to all (`methods=` below).
SUPERVISED = ("lora", "qlora", "sft")
WITH_ADAPTER = ("lora", "qlora")
SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")
DISTRIBUTIONS = ("none", "ddp", "fsdp", "deepspeed")
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop")


def option(
    default: Any,
    help: str,
    *,
    group: str,
    min: float | None = None,
    max: float | None = None,
    choices: tuple[str, ...] = (),
    advanced: bool = True,
    above: float | None = None,
    methods: tuple[str, ...] = (),
) -> Any:
    """A Config field with what every surface needs to show and check it. `min`/`max` are inclusive, `above` is exclusive.

    `methods` are those the option means something to; empty means all. To the others it is not shown, and refused.
    """
    metadata = {
        "help": help, "group": group, "min": min, "max": max, "choices": choices, "advanced": advanced, "above": above,
        "methods": methods,
    }  # fmt: skip
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters. `None` means "chosen for the model and device at the start", and the run's manifest says what was chosen."""

    # --- How long and how fast -------------------------------------------------------------------
    # 2e-4 is the common LoRA rate (QLoRA paper, table 9); METHOD_DEFAULTS lowers it where every weight moves.
    learning_rate: float = option(2e-4, "Step size of the optimizer. Too high: the loss jumps; too low: it crawls.",
        group="schedule", above=0, max=1, advanced=False)  # fmt: skip
    # Three passes let small sets sink in; above five they are usually memorised.
    num_train_epochs: float = option(3.0, "How many times every row is seen. Ignored when max_steps is set.",
        group="schedule", above=0, max=1000, advanced=False)  # fmt: skip
    max_steps: int | None = option(None, "Stop after this many optimizer steps instead of counting epochs.",
        group="schedule", min=1, max=10_000_000)  # fmt: skip
    # 4 fits most machines; the effective batch is this × gradient_accumulation_steps × devices.
    per_device_train_batch_size: int = option(4, "Rows each device works on at once. Lower it when memory runs out.",
        group="schedule", min=1, max=4096, advanced=False)  # fmt: skip
    gradient_accumulation_steps: int = option(1, "Micro-batches summed before the weights move: a larger batch without more memory.",
        group="schedule", min=1, max=4096, advanced=False)  # fmt: skip
    # Long enough for most chat rows and short enough for small machines.
    max_length: int = option(1024, "Longest sequence in tokens; what is longer is cut at the end.",
        group="data", min=8, max=1_048_576, advanced=False)  # fmt: skip
    lr_scheduler_type: str = option("cosine", "How the learning rate falls over the run.", group="schedule", choices=SCHEDULERS)
    # A short ramp keeps the first updates of Adam, whose variance estimate is still empty, small.
    warmup_ratio: float = option(0.03, "Share of the steps over which the learning rate rises from zero.",
        group="schedule", min=0, max=1)  # fmt: skip
    warmup_steps: int | None = option(None, "Steps of warm-up; overrides warmup_ratio.", group="schedule", min=0, max=1_000_000)
    optim: str = option("adamw_torch", "The optimizer.", group="schedule", choices=OPTIMIZERS)
    weight_decay: float = option(0.0, "Pulls weights towards zero; 0 is usual for adapters.", group="schedule", min=0, max=10)
    max_grad_norm: float = option(1.0, "Gradients longer than this are shortened to it; 0 turns clipping off.",
        group="schedule", min=0, max=1000)  # fmt: skip
    seed: int = option(42, "Same seed, data and machine: same result.", group="schedule", min=0, max=2**32 - 1)

    # --- Adapter ---------------------------------------------------------------------------------
    lora_r: int = option(16, "Rank of the adapter: its capacity. 8–64 suits most tasks.", group="adapter", methods=WITH_ADAPTER,
        min=1, max=4096, advanced=False)  # fmt: skip
    # alpha = 2r is the customary scaling: the adapter's output is multiplied by alpha / r.
    lora_alpha: int = option(32, "Scale of the adapter: its output is multiplied by lora_alpha / lora_r.", group="adapter",
        methods=WITH_ADAPTER, min=1, max=8192)  # fmt: skip
    lora_dropout: float = option(0.0, "Share of adapter inputs dropped while training.", group="adapter", methods=WITH_ADAPTER,
        min=0, max=0.95)  # fmt: skip
    # All linear layers, as QLoRA found necessary to match full fine-tuning.
    lora_target_modules: list[str] = option(
        ["all-linear"], "Layers that get an adapter: all-linear, or names such as q_proj.",
        group="adapter", methods=WITH_ADAPTER,
    )  # fmt: skip
    use_rslora: bool = option(
        False, "Scale by lora_alpha / √lora_r, steadier at high ranks.", group="adapter", methods=WITH_ADAPTER
    )
    use_dora: bool = option(False, "Weight-decomposed LoRA: often a little better, slower.", group="adapter", methods=WITH_ADAPTER)

    # --- Data ------------------------------------------------------------------------------------
    # A tenth tells over-fitting from learning; it is taken by seed, the same rows each time.
    eval_fraction: float = option(0.1, "Share of the rows held out for evaluation when no evaluation split is chosen; 0 for none.",
        group="data", min=0, max=0.5, advanced=False)  # fmt: skip
    packing: bool = option(False, "Put several short rows into one sequence: faster on short rows.", group="data",
        methods=SUPERVISED)  # fmt: skip
    assistant_only_loss: bool = option(True, "Learn the answers only, not the questions.", group="data",
        methods=SUPERVISED)  # fmt: skip

    # --- Precision and memory --------------------------------------------------------------------
    bf16: bool | None = option(None, "Compute in bfloat16; left open, it is used where the device supports it.", group="memory")
    fp16: bool = option(False, "Compute in float16 with loss scaling, for GPUs without bfloat16.", group="memory")
    gradient_checkpointing: bool | None = option(None, "Recompute activations instead of keeping them: less memory, slower. "
        "Left open, it is used on GPUs.", group="memory")  # fmt: skip

    retry_on_out_of_memory: bool = option(True, "When memory runs out, go on from the last checkpoint with half the batch size "
        "and twice the accumulation: the same rows in every step. Four times at most.", group="memory")  # fmt: skip

    # --- Several devices -------------------------------------------------------------------------
    num_gpus: int = option(1, "GPUs that train together. A step then learns from batch size × accumulation × GPUs rows.",
        group="devices", min=1, max=64)  # fmt: skip
    distributed: str | None = option(None, "How they share the work: ddp keeps the whole model on each, fsdp and deepspeed split it. "
        "Left open, ddp with several GPUs.", group="devices", choices=DISTRIBUTIONS)  # fmt: skip

    # --- Watching --------------------------------------------------------------------------------
    logging_steps: int = option(1, "Steps between two points of the loss curve.", group="watching", min=1, max=100_000)
    eval_steps: int | None = option(
        None, "Steps between evaluations; left open, about ten in a run.", group="watching", min=1, max=10_000_000
    )
    save_steps: int | None = option(
        None, "Steps between checkpoints; left open, about five in a run.", group="watching", min=1, max=10_000_000
    )
    save_total_limit: int = option(2, "Checkpoints kept; older ones are deleted.", group="watching", min=1, max=1000)


# Where a method wants another default than Config's. Full training moves every weight, so it steps ten times shorter.
METHOD_DEFAULTS: dict[str, dict[str, Any]] = {"lora": {}, "qlora": {}, "sft": {"learning_rate": 2e-5}}
