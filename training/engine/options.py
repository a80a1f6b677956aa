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
    "dpo": "Learn from pairs of answers, one preferred to the other, without straying from the base. For a model that can do the task.",
    "orpo": "Learn the preferred answers and to avoid the rejected ones in one go: no reference model, works from a raw base.",
    "kto": "Learn from answers rated good or bad one by one, as thumbs up and down give them. Takes preference pairs too.",
    "pretrain": "Go on pre-training: read plain text and learn all of it, to take in a language or a field before it is tuned for tasks.",
}
# The kinds of dataset (datasets_app) each method can learn from.
METHOD_KINDS: dict[str, tuple[str, ...]] = {
    "lora": ("sft", "text"),
    "qlora": ("sft", "text"),
    "sft": ("sft", "text"),
    "dpo": ("preference",),
    "orpo": ("preference",),
    "kto": ("unpaired", "preference"),  # a pair is a good answer and a bad one
    "pretrain": ("text",),
}
# Which of them an option means something to, where not to all (`methods=` below).
CHAT = ("lora", "qlora", "sft")
SUPERVISED = (*CHAT, "pretrain")
PREFERENCE = ("dpo", "orpo", "kto")
CHOOSING_ADAPTER = (*PREFERENCE, "pretrain")
WITH_ADAPTER = ("lora", "qlora", *CHOOSING_ADAPTER)
ADAPTERS = ("none", "lora", "qlora")
# The losses of TRL 1.16 that need no option beyond ours; see docs/methods.md.
DPO_LOSSES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero",
    "apo_down", "discopop", "sigmoid_norm",
)  # fmt: skip
KTO_LOSSES = ("kto", "apo_zero_unpaired")
DISTRIBUTIONS = ("none", "ddp", "fsdp", "deepspeed")
SCHEDULERS = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
    "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy",
)  # fmt: skip
# Schedules that follow the evaluations' loss instead of the step.
MEASURING_SCHEDULERS = ("reduce_lr_on_plateau", "greedy")
# Of transformers' list, what needs nothing, what needs bitsandbytes and CUDA, and what needs a package of its own (its import name).
# Left out: LOMO (updates inside backward, so nothing can be accumulated or clipped), schedule-free ones (their weights depend
# on a mode that checkpoints don't keep), layer-wise ones (no accumulation), and those for TPUs and NPUs.
TORCH_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop")
CUDA_OPTIMIZERS = (
    "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "lion_32bit", "lion_8bit", "paged_lion_32bit",
    "paged_lion_8bit", "rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit", "ademamix", "ademamix_8bit",
    "paged_ademamix_32bit", "paged_ademamix_8bit",
)  # fmt: skip
PACKAGE_OPTIMIZERS = {
    "stable_adamw": "optimi", "grokadamw": "grokadamw", "adamw_torch_8bit": "torchao", "adamw_torch_4bit": "torchao",
    "apollo_adamw": "apollo_torch", "galore_adamw": "galore_torch", "galore_adafactor": "galore_torch",
}  # fmt: skip
OPTIMIZERS = (*TORCH_OPTIMIZERS, *CUDA_OPTIMIZERS, *PACKAGE_OPTIMIZERS)
# How an adapter begins. Left out: EVA, CorDA, LoRA-GA (need rows of data before the run), LoftQ (quantises the base anew).
LORA_INITS = ("default", "gaussian", "orthogonal", "olora", "pissa", "pissa_niter_16")
# Those that move a part of the base's weights into the adapter; the result is saved as a plain adapter for the untouched base.
MUTATING_INITS = ("olora", "pissa", "pissa_niter_16")
CHAT_TEMPLATES = ("model", "chatml", "llama3", "mistral", "gemma", "zephyr", "plain")
KERNELS = ("auto", "none", "liger", "unsloth")
# Groups of options in the order people see them.
GROUPS = {
    "schedule": "Schedule and optimizer",
    "adapter": "Adapter",
    "data": "Data",
    "memory": "Precision and memory",
    "preferences": "Preferences",
    "devices": "Several GPUs",
    "watching": "Logging, evaluation, checkpoints",
}


def option(
    default: Any,
    help: str,
    *,
    group: str,
    min: float | None = None,
    max: float | None = None,
    choices: tuple[str, ...] | dict[str, tuple[str, ...]] = (),
    advanced: bool = True,
    above: float | None = None,
    methods: tuple[str, ...] = (),
    lines: bool = False,
) -> Any:
    """A Config field with what every surface needs to show and check it. `min`/`max` are inclusive, `above` is exclusive; of a
    list they count the items. `lines`: a list's items are sentences, one a line, not words.

    `choices` may differ by method. `methods` are those the option means something to; empty means all. To the others it is
    not shown, and refused.
    """
    metadata = {
        "help": help, "group": group, "min": min, "max": max, "choices": choices, "advanced": advanced, "above": above,
        "methods": methods, "lines": lines,
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
    lr_scheduler_type: str = option("cosine", "How the learning rate falls over the run. reduce_lr_on_plateau and greedy follow "
        "the evaluations' loss.", group="schedule", choices=SCHEDULERS)  # fmt: skip
    # A tenth, as in most recipes with a floor; the other schedules end at zero, as they do in transformers.
    min_lr_ratio: float | None = option(None, "Share of the learning rate that is left at the end (cosine_with_min_lr, "
        "cosine_warmup_with_min_lr, warmup_stable_decay, polynomial) or never undercut (reduce_lr_on_plateau, greedy). Left open: "
        "0.1 for the two cosine schedules, else 0.", group="schedule", min=0, max=0.99)  # fmt: skip
    # With one cycle there would be no restart.
    lr_num_cycles: int = option(2, "Times cosine_with_restarts falls from the top.", group="schedule", min=1, max=1000)
    # 1 is transformers' own, a straight line.
    lr_power: float = option(1.0, "Exponent of the polynomial schedule.", group="schedule", above=0, max=10)
    # MiniCPM's warmup-stable-decay spends about a tenth; short runs need a little more.
    lr_decay_ratio: float = option(0.2, "Share of the steps over which warmup_stable_decay falls at the end.",
        group="schedule", min=0, max=1)  # fmt: skip
    # About ten evaluations in a run: waiting for more than one of them would hardly ever act.
    lr_plateau_patience: int = option(1, "Evaluations without progress before reduce_lr_on_plateau lowers the rate; greedy also "
        "raises it after as many with.", group="schedule", min=0, max=1000)  # fmt: skip
    lr_plateau_factor: float = option(0.5, "What reduce_lr_on_plateau and greedy multiply the rate with.",
        group="schedule", above=0, max=0.999)  # fmt: skip
    # A short ramp keeps the first updates of Adam, whose variance estimate is still empty, small.
    warmup_ratio: float = option(0.03, "Share of the steps over which the learning rate rises from zero.",
        group="schedule", min=0, max=1)  # fmt: skip
    warmup_steps: int | None = option(None, "Steps of warm-up; overrides warmup_ratio.", group="schedule", min=0, max=1_000_000)
    optim: str = option("adamw_torch", "The optimizer. Names with 8bit, paged, bnb, lion or ademamix need an NVIDIA GPU; the last "
        "seven need a package of their own.", group="schedule", choices=OPTIMIZERS)  # fmt: skip
    # Adam's own constants (Kingma and Ba, 2015); 0.95 for beta2 is usual where batches are large.
    adam_beta1: float = option(0.9, "How long Adam and its kin (Lion, AdEMAMix) remember the gradient.",
        group="schedule", min=0, max=0.9999)  # fmt: skip
    adam_beta2: float = option(0.999, "How long they remember its square.", group="schedule", min=0, max=0.99999)
    adam_epsilon: float = option(1e-8, "Keeps Adam's division finite.", group="schedule", above=0, max=0.1)
    weight_decay: float = option(0.0, "Pulls weights towards zero; 0 is usual for adapters.", group="schedule", min=0, max=10)
    max_grad_norm: float = option(1.0, "Gradients longer than this are shortened to it; 0 turns clipping off.",
        group="schedule", min=0, max=1000)  # fmt: skip
    label_smoothing_factor: float = option(0.0, "Share of the target spread over the whole vocabulary: less certain answers, and "
        "more memory and time. Evaluations stay without it.", group="schedule", methods=SUPERVISED, min=0, max=0.99)  # fmt: skip
    seed: int = option(42, "Same seed, data and machine: same result.", group="schedule", min=0, max=2**32 - 1)

    # --- Adapter ---------------------------------------------------------------------------------
    adapter: str = option("lora", "What learns: a LoRA adapter, one over a base in four bits (qlora), or every weight (none), which "
        "by default is trained at a tenth of the rate.", group="adapter", choices=ADAPTERS, methods=CHOOSING_ADAPTER,
        advanced=False)  # fmt: skip
    lora_r: int = option(16, "Rank of the adapter: its capacity. 8–64 suits most tasks.", group="adapter", methods=WITH_ADAPTER,
        min=1, max=4096, advanced=False)  # fmt: skip
    # alpha = 2r is the customary scaling: the adapter's output is multiplied by alpha / r.
    lora_alpha: int = option(32, "Scale of the adapter: its output is multiplied by lora_alpha / lora_r.", group="adapter",
        methods=WITH_ADAPTER, min=1, max=8192)  # fmt: skip
    lora_dropout: float = option(0.0, "Share of adapter inputs dropped while training.", group="adapter", methods=WITH_ADAPTER,
        min=0, max=0.95)  # fmt: skip
    # All linear layers, as QLoRA found necessary to match full fine-tuning.
    lora_target_modules: list[str] = option(["all-linear"], "Layers that get an adapter: all-linear, or names such as q_proj.",
        group="adapter", methods=WITH_ADAPTER, min=1, max=100)  # fmt: skip
    init_lora_weights: str = option("default", "How the adapter begins. pissa and olora start from the base's own largest "
        "directions and learn faster; pissa_niter_16 finds them quicker.", group="adapter", methods=WITH_ADAPTER,
        choices=LORA_INITS)  # fmt: skip
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
        methods=CHAT)  # fmt: skip
    mask_history: bool = option(False, "Learn only the last answer of each conversation.", group="data", methods=CHAT)
    chat_template: str = option("model", "How messages become text: the model's own way, or one of these for a model without one. "
        "It is saved with the result.", group="data", methods=(*CHAT, *PREFERENCE), choices=CHAT_TEMPLATES)  # fmt: skip
    group_by_length: bool = option(False, "Put rows of like length into one batch: less padding, another order. Without effect on "
        "speed where batches have no padding anyway.", group="data", methods=SUPERVISED)  # fmt: skip
    # The paper's values are 5, 10 and 15; more suits longer answers.
    neftune_noise_alpha: float | None = option(None, "Noise added to the embeddings while training (NEFTune); often makes chat "
        "answers better. 5 is a good start; left open: none.", group="data", methods=SUPERVISED, above=0, max=100)  # fmt: skip

    # --- Precision and memory --------------------------------------------------------------------
    bf16: bool | None = option(None, "Compute in bfloat16; left open, it is used where the device supports it.", group="memory")
    fp16: bool = option(False, "Compute in float16 with loss scaling, for GPUs without bfloat16.", group="memory")
    gradient_checkpointing: bool | None = option(None, "Recompute activations instead of keeping them: less memory, slower. "
        "Left open, it is used on GPUs.", group="memory")  # fmt: skip
    kernels: str = option("auto", "Faster kernels where they are installed and suit the run: liger-kernel, unsloth. The log says "
        "what was taken.", group="memory", choices=KERNELS)  # fmt: skip
    torch_compile: bool = option(False, "Compile the model: minutes at the start, faster steps on long runs. Needs a C++ compiler.",
        group="memory")  # fmt: skip

    retry_on_out_of_memory: bool = option(True, "When memory runs out, go on from the last checkpoint with half the batch size "
        "and twice the accumulation: the same rows in every step. Four times at most.", group="memory",
        methods=(*SUPERVISED, "dpo", "orpo"))  # fmt: skip

    # --- Preferences -----------------------------------------------------------------------------
    # 0.1 is the papers' and TRL's value for all three.
    beta: float = option(0.1, "How strongly answers are held to the reference (dpo, kto), or preferred ones set apart (orpo).",
        group="preferences", above=0, max=100, methods=PREFERENCE, advanced=False)  # fmt: skip
    loss_type: str = option("sigmoid", "The formula that turns preferences into a loss; the first is the original paper's.",
        group="preferences", choices={"dpo": DPO_LOSSES, "kto": KTO_LOSSES}, methods=("dpo", "kto"))  # fmt: skip
    # 0 trusts every pair, as the DPO paper does.
    label_smoothing: float = option(0.0, "Share of pairs taken to be the wrong way round; for the losses robust, exo_pair, aot and "
        "aot_unpaired.", group="preferences", min=0, max=0.49, methods=("dpo",))  # fmt: skip
    desirable_weight: float = option(1.0, "Weight of good answers. With few of them raise it, so that weight × number is about "
        "equal on both sides.", group="preferences", min=0, max=1000, methods=("kto",))  # fmt: skip
    undesirable_weight: float = option(1.0, "Weight of bad answers; raise it where these are few.", group="preferences", min=0, max=1000,
        methods=("kto",))  # fmt: skip

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
    save_total_limit: int = option(2, "Checkpoints kept; older ones are deleted, never the best one under keep_best.",
        group="watching", min=1, max=1000)  # fmt: skip
    keep_best: bool = option(False, "The result is the checkpoint with the lowest eval_loss instead of the last one. Each new best "
        "is saved.", group="watching")  # fmt: skip
    early_stopping_patience: int | None = option(None, "Stop after this many evaluations in a row without a better eval_loss; left "
        "open: never.", group="watching", min=1, max=1000)  # fmt: skip
    early_stopping_threshold: float = option(0.0, "How much lower eval_loss must be to count as better for stopping early.",
        group="watching", min=0, max=100)  # fmt: skip
    sample_prompts: list[str] = option([], "Prompts answered at every evaluation and at the end, so that one sees the model learn.",
        group="watching", min=0, max=8, lines=True)  # fmt: skip
    sample_max_new_tokens: int = option(64, "Longest such answer in tokens.", group="watching", min=1, max=512)


# Where a method wants another default than Config's. Full training moves every weight, so it steps ten times shorter.
# Preferences are learned at a quarter of the rate of examples (TRL's 1e-6 and Zephyr's 5e-7 are for 7B models in full; small
# models and adapters need more), and once: further passes widen the margins by forgetting (Rafailov et al. 2024).
METHOD_DEFAULTS: dict[str, dict[str, Any]] = {
    "lora": {},
    "qlora": {},
    "sft": {"learning_rate": 2e-5},
    "dpo": {"learning_rate": 5e-5, "num_train_epochs": 1.0},
    "orpo": {"learning_rate": 5e-5},
    "kto": {"learning_rate": 5e-5, "num_train_epochs": 1.0, "loss_type": "kto"},
    # Text teaches a little in every token, so it is stepped through once, faster than examples are in full training.
    "pretrain": {"learning_rate": 1e-4, "num_train_epochs": 1.0, "packing": True},
}
