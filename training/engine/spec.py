"""The typed description of a run: what spec.json holds, and the one place every hyper-parameter is declared.

Each Config field carries its help, bounds, choices and the reason of its default. The API's serializer, the HTML form,
the command line's help and the table in the docs are generated from it (training/spec_fields.py), so they can't drift.
Names are those of transformers, TRL and PEFT. A spec never holds a secret.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

METHODS: dict[str, str] = {
    "lora": "Train small low-rank adapters; the base model stays frozen. The best start for almost everyone.",
    "sft": "Train every weight of the model on examples. Needs the most memory.",
}
# The kinds of dataset (datasets_app) each method can learn from.
METHOD_KINDS: dict[str, tuple[str, ...]] = {"lora": ("sft", "text"), "sft": ("sft", "text")}
SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop")


class SpecError(ValueError):
    """A spec that can't be run; `fields` maps config field → messages."""

    def __init__(self, fields: dict[str, list[str]]):
        super().__init__("; ".join(f"{name}: {text}" for name, texts in fields.items() for text in texts))
        self.fields = fields


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
) -> Any:
    """A Config field with what every surface needs to show and check it. `min`/`max` are inclusive, `above` is exclusive."""
    metadata = {"help": help, "group": group, "min": min, "max": max, "choices": choices, "advanced": advanced, "above": above}
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
    lora_r: int = option(
        16, "Rank of the adapter: its capacity. 8–64 suits most tasks.", group="adapter", min=1, max=4096, advanced=False
    )
    # alpha = 2r is the customary scaling: the adapter's output is multiplied by alpha / r.
    lora_alpha: int = option(
        32, "Scale of the adapter: its output is multiplied by lora_alpha / lora_r.", group="adapter", min=1, max=8192
    )
    lora_dropout: float = option(0.0, "Share of adapter inputs dropped while training.", group="adapter", min=0, max=0.95)
    # All linear layers, as QLoRA found necessary to match full fine-tuning.
    lora_target_modules: list[str] = option(
        ["all-linear"], "Layers that get an adapter: all-linear, or names such as q_proj.", group="adapter"
    )
    use_rslora: bool = option(False, "Scale by lora_alpha / √lora_r, steadier at high ranks.", group="adapter")
    use_dora: bool = option(False, "Weight-decomposed LoRA: often a little better, slower.", group="adapter")

    # --- Data ------------------------------------------------------------------------------------
    # A tenth tells over-fitting from learning; it is taken by seed, the same rows each time.
    eval_fraction: float = option(0.1, "Share of the rows held out for evaluation when no evaluation split is chosen; 0 for none.",
        group="data", min=0, max=0.5, advanced=False)  # fmt: skip
    packing: bool = option(False, "Put several short rows into one sequence: faster on short rows.", group="data")
    assistant_only_loss: bool = option(True, "Learn the answers only, not the questions.", group="data")

    # --- Precision and memory --------------------------------------------------------------------
    bf16: bool | None = option(None, "Compute in bfloat16; left open, it is used where the device supports it.", group="memory")
    fp16: bool = option(False, "Compute in float16 with loss scaling, for GPUs without bfloat16.", group="memory")
    gradient_checkpointing: bool | None = option(None, "Recompute activations instead of keeping them: less memory, slower. "
        "Left open, it is used on GPUs.", group="memory")  # fmt: skip

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
METHOD_DEFAULTS: dict[str, dict[str, Any]] = {"lora": {}, "sft": {"learning_rate": 2e-5}}


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """The base model: a local directory in Hugging Face layout, and where it came from."""

    path: str
    name: str = ""
    repo_id: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataRef:
    """Normalised rows (see training/engine/data.py), as paths relative to the run directory or absolute."""

    train: str
    eval: str | None = None
    kind: str = "sft"
    content_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One attempt at one run: everything the engine needs to know, and nothing secret."""

    method: str
    model: ModelRef
    data: DataRef
    config: Config = Config()
    job: str = ""
    attempt: int = 1
    # A checkpoints directory of an earlier attempt; its newest whole checkpoint is continued from.
    resume_from: str | None = None
    version: int = 1


def defaults_for(method: str) -> dict[str, Any]:
    """Every config field's default for this method."""
    return dataclasses.asdict(Config()) | METHOD_DEFAULTS[method]


def config_fields() -> Iterator[dataclasses.Field]:
    """The fields of Config in the order people should see them."""
    yield from dataclasses.fields(Config)


def field_type(item: dataclasses.Field) -> tuple[type, bool]:
    """The field's plain type (bool, int, float, str or list) and whether it may be None."""
    hint = typing.get_type_hints(Config)[item.name]
    if isinstance(hint, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        return typing.get_origin(inner) or inner, True
    return typing.get_origin(hint) or hint, False


def check_config(method: str, values: dict[str, Any]) -> dict[str, Any]:
    """The full config for `method` from the given values and defaults. SpecError names each unknown or out-of-range field."""
    if method not in METHODS:
        raise SpecError({"method": [f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}."]})
    known = {item.name: item for item in config_fields()}
    errors: dict[str, list[str]] = {}
    checked = defaults_for(method)
    for name, value in values.items():
        if name not in known:
            errors[name] = ["Unknown option."]
            continue
        try:
            checked[name] = _check(known[name], value)
        except ValueError as error:
            errors[name] = [str(error)]
    if checked["bf16"] and checked["fp16"]:
        errors["fp16"] = ["Choose bf16 or fp16, not both."]
    if errors:
        raise SpecError(errors)
    return checked


def _check(item: dataclasses.Field, value: Any) -> Any:
    kind, optional = field_type(item)
    if value is None:
        if optional:
            return None
        raise ValueError("A value is needed.")
    value = _coerce(kind, value)
    rules = item.metadata
    if rules["choices"] and value not in rules["choices"]:
        raise ValueError(f"Choose one of: {', '.join(rules['choices'])}.")
    if kind in (int, float):
        _check_bounds(rules, value)
    if kind is list and not value:
        raise ValueError("Name at least one.")
    return value


def _coerce(kind: type, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("Must be true or false.")
    if kind is list:
        words = [value] if isinstance(value, str) else value
        if isinstance(words, list) and all(isinstance(word, str) and word.strip() for word in words):
            return [word.strip() for word in words]
        raise ValueError("Must be a list of names.")
    if kind is str:
        if isinstance(value, str):
            return value
        raise ValueError("Must be text.")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("Must be a number.")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("Must be a number.") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("Must be a finite number.")
    if kind is int:
        if number != int(number):
            raise ValueError("Must be a whole number.")
        return int(number)
    return number


def _check_bounds(rules: typing.Mapping[str, Any], value: float) -> None:
    if rules["above"] is not None and value <= rules["above"]:
        raise ValueError(f"Must be greater than {rules['above']:g}.")
    if rules["min"] is not None and value < rules["min"]:
        raise ValueError(f"Must be at least {rules['min']:g}.")
    if rules["max"] is not None and value > rules["max"]:
        raise ValueError(f"Must be at most {rules['max']:g}.")


def to_dict(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    return dataclasses.asdict(spec)


def from_dict(values: dict[str, Any]) -> TrainingSpec:
    """A TrainingSpec from spec.json's content; SpecError when a part is missing, unknown or out of range."""
    try:
        rest = {key: value for key, value in values.items() if key not in {"model", "data", "config"}}
        return TrainingSpec(
            **rest,
            model=ModelRef(**values["model"]),
            data=DataRef(**values["data"]),
            config=Config(**check_config(values["method"], values.get("config", {}))),
        )
    except (KeyError, TypeError) as error:
        raise SpecError({"spec": [f"Not a complete spec: {error}."]}) from error
