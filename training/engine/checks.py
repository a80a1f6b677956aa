"""Values for the options of options.py, checked one by one: types, bounds, choices. SpecError names every wrong field."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from typing import Any

from .options import (
    CHOOSING_ADAPTER,
    MEASURING_SCHEDULERS,
    METHOD_DEFAULTS,
    METHODS,
    MUTATING_INITS,
    SUPERVISED,
    Config,
)

LONGEST_ITEM = 2000  # characters of one entry of a list


class SpecError(ValueError):
    """A spec that can't be run; `fields` maps config field → messages."""

    def __init__(self, fields: dict[str, list[str]]):
        super().__init__("; ".join(f"{name}: {text}" for name, texts in fields.items() for text in texts))
        self.fields = fields


def defaults_for(method: str, adapter: Any = None) -> dict[str, Any]:
    """The default of every option that means something to this method; where every weight is trained, at a tenth of the rate."""
    values = dataclasses.asdict(Config()) | METHOD_DEFAULTS[method]
    if adapter == "none" and method in CHOOSING_ADAPTER:
        values["learning_rate"] /= 10
    return {item.name: values[item.name] for item in config_fields(method)}


def adapter_of(method: str, config: dict[str, Any]) -> str:
    """none, lora or qlora: what learns beside the base, or instead of it."""
    return config["adapter"] if method in CHOOSING_ADAPTER else method if method in ("lora", "qlora") else "none"


def config_fields(method: str | None = None) -> Iterator[dataclasses.Field]:
    """The fields of Config in the order people should see them; with `method`, those that mean something to it."""
    for item in dataclasses.fields(Config):
        methods = item.metadata["methods"]
        if method is None or not methods or method in methods:
            yield item


def choices_of(item: dataclasses.Field, method: str | None = None) -> tuple[str, ...]:
    """What may be chosen for an option, with this method or (None) with any; empty when anything may."""
    found = item.metadata["choices"]
    if not isinstance(found, dict):
        return found
    return found.get(method, ()) if method else tuple(name for names in found.values() for name in names)


def field_type(item: dataclasses.Field) -> tuple[type, bool]:
    """The field's plain type (bool, int, float, str or list) and whether it may be None."""
    hint = _hints()[item.name]
    if isinstance(hint, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        return typing.get_origin(inner) or inner, True
    return typing.get_origin(hint) or hint, False


@functools.cache
def _hints() -> dict[str, Any]:
    """The types of Config's fields; finding them takes milliseconds."""
    return typing.get_type_hints(Config)


def check_config(method: str, values: dict[str, Any]) -> dict[str, Any]:
    """All options of `method`, from the given values and its defaults. SpecError names each field that is unknown, out of range
    or means nothing to the method; one of the last kind may be given with its default, and is left out."""
    if method not in METHODS:
        raise SpecError({"method": [f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}."]})
    known = {item.name: item for item in config_fields()}
    errors: dict[str, list[str]] = {}
    checked = defaults_for(method, values.get("adapter"))
    for name, value in values.items():
        if name not in known:
            errors[name] = ["Unknown option."]
            continue
        try:
            _take(checked, known[name], value, method)
        except ValueError as error:
            errors[name] = [str(error)]
    for name, text in _contradictions(method, Config(**checked)):
        errors.setdefault(name, [text])
    errors |= _check_devices(method, checked) | _check_preferences(method, checked)
    if errors:
        raise SpecError(errors)
    return checked


def _contradictions(method: str, config: Config) -> Iterator[tuple[str, str]]:
    """Options that are each possible but not together, as (the one to change, why)."""
    if config.bf16 and config.fp16:
        yield "fp16", "Choose bf16 or fp16, not both."
    if config.use_dora and config.init_lora_weights in MUTATING_INITS:
        yield (
            "init_lora_weights",
            f"{config.init_lora_weights} can't be combined with use_dora. Choose default, or turn use_dora off.",
        )
    if config.init_lora_weights in MUTATING_INITS and adapter_of(method, vars(config)) == "qlora":
        yield (
            "init_lora_weights",
            f"{config.init_lora_weights} changes the base's weights, which QLoRA holds in four bits. Choose default.",
        )
    if config.init_lora_weights == "orthogonal" and config.lora_r % 2:
        yield "lora_r", "Must be even when init_lora_weights is orthogonal."
    if config.lr_scheduler_type == "warmup_stable_decay" and config.warmup_ratio + config.lr_decay_ratio > 1:
        yield "lr_decay_ratio", "Warm-up and decay together take more than the whole run. Lower one of them."
    if config.group_by_length and config.packing:
        yield "group_by_length", "Packed sequences are all of one length. Turn packing off, or this."


def needing_evaluation(config: Config) -> list[str]:
    """Options in use that follow eval_loss and so need rows to evaluate on."""
    wanted = {
        "keep_best": config.keep_best,
        "early_stopping_patience": config.early_stopping_patience is not None,
        "lr_scheduler_type": config.lr_scheduler_type in MEASURING_SCHEDULERS,
    }
    return [name for name, used in wanted.items() if used]


def _take(checked: dict[str, Any], item: dataclasses.Field, value: Any, method: str) -> None:
    value = _check(item, value)
    if item.name in checked:
        allowed = choices_of(item, method)
        if allowed and value is not None and value not in allowed:
            raise ValueError(f"Choose one of: {', '.join(allowed)}.")
        checked[item.name] = value
    elif value != getattr(Config(), item.name):
        raise ValueError(f"Means nothing to the method {method}: leave it out.")


def _check_devices(method: str, values: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong between num_gpus, distributed, the method and the adapter."""
    several, way = values.get("num_gpus", 1) > 1, values.get("distributed")
    if method not in SUPERVISED and way in ("fsdp", "deepspeed"):
        return {"distributed": [f"{method} can't split a model over GPUs here. Choose ddp: each GPU then holds it whole."]}
    if adapter_of(method, values) == "qlora" and way in ("fsdp", "deepspeed"):
        return {"distributed": [f"{way} can't split four-bit weights here. Choose ddp: each GPU then holds them all."]}
    if several and way == "none":
        return {"distributed": ["Choose ddp, fsdp or deepspeed for several GPUs, or leave it open."]}
    if not several and way not in (None, "none"):
        return {"distributed": [f"{way} needs num_gpus of at least 2."]}
    return {}


def _check_preferences(method: str, values: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong between a preference method's own options."""
    if values.get("loss_type") == "exo_pair" and not values["label_smoothing"]:
        return {"label_smoothing": ["exo_pair needs more than 0; its paper takes 0.001."]}
    if method == "kto" and values["loss_type"] == "kto" and values["per_device_train_batch_size"] < 2:
        words = "kto compares each answer with the others of its batch: choose at least 2, or the loss apo_zero_unpaired."
        return {"per_device_train_batch_size": [words]}
    return {}


def _check(item: dataclasses.Field, value: Any) -> Any:
    kind, optional = field_type(item)
    if value is None:
        if optional:
            return None
        raise ValueError("A value is needed.")
    value = _coerce(kind, value)
    rules = item.metadata
    if kind in (int, float):
        _check_bounds(rules, value)
    if kind is list:
        _check_items(rules, value)
    return value


def _check_items(rules: typing.Mapping[str, Any], items: list[str]) -> None:
    if len(items) < rules["min"]:
        raise ValueError("Name at least one.")
    if len(items) > rules["max"]:
        raise ValueError(f"At most {rules['max']}.")
    if any(len(item) > LONGEST_ITEM for item in items):
        raise ValueError(f"Each must be at most {LONGEST_ITEM} characters.")


def _coerce(kind: type, value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if any(isinstance(text, str) and "\x00" in text for text in texts):
        raise ValueError("Holds a NUL character: remove it.")  # PostgreSQL keeps none
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
