"""The hyper-parameters of training.engine.spec.Config as every surface needs them: checked values, form fields,
an OpenAPI schema, and the catalogue of GET /api/training/methods. Bounds and words live in the spec only.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from django import forms

from finetune.core.errors import Invalid
from training.engine import spec

# Where the name's words alone would not read well.
LABELS = {
    "num_train_epochs": "Epochs",
    "max_steps": "Steps at most",
    "per_device_train_batch_size": "Batch size",
    "max_length": "Longest sequence",
    "lr_scheduler_type": "Learning-rate schedule",
    "optim": "Optimizer",
    "max_grad_norm": "Gradient clipping",
    "lora_r": "Adapter rank",
    "lora_alpha": "Adapter scale",
    "lora_dropout": "Adapter dropout",
    "lora_target_modules": "Adapted layers",
    "use_rslora": "Rank-stabilised scale",
    "use_dora": "DoRA",
    "eval_fraction": "Held-out share",
    "assistant_only_loss": "Learn answers only",
    "bf16": "bfloat16",
    "fp16": "float16",
    "beta": "Beta",
    "neftune_noise_alpha": "NEFTune noise",
    "min_lr_ratio": "Lowest learning rate",
    "lr_num_cycles": "Restarts of the schedule",
    "lr_power": "Power of the schedule",
    "lr_decay_ratio": "Share of decay",
    "lr_plateau_patience": "Patience of the schedule",
    "lr_plateau_factor": "Factor of the schedule",
    "adam_beta1": "Adam beta 1",
    "adam_beta2": "Adam beta 2",
    "adam_epsilon": "Adam epsilon",
    "label_smoothing_factor": "Label smoothing",
    "init_lora_weights": "Adapter's start",
    "mask_history": "Learn the last answer only",
    "keep_best": "Keep the best checkpoint",
    "sample_max_new_tokens": "Longest sample answer",
    "torch_compile": "Compile the model",
    "num_gpus": "GPUs",
    "distributed": "Split of the work",
    "retry_on_out_of_memory": "Retry with smaller batches",
    "eval_loss": "Eval loss",
    "best_eval_loss": "Best eval loss",
    "eval_mean_token_accuracy": "Token accuracy on eval rows",
    "num_tokens": "Tokens learned from",
    "peak_memory_bytes": "Peak memory",
    "training_seconds": "Training time",
}
LINES = {item.name for item in spec.config_fields() if item.metadata["lines"]}
_OPENAPI_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


def checked_config(method: str, values: dict[str, Any]) -> dict[str, Any]:
    """The full config from the given values and the method's defaults; Invalid names each wrong field."""
    try:
        return spec.check_config(method, values)
    except spec.SpecError as error:
        name, messages = next(iter(error.fields.items()))
        raise Invalid(f"{name}: {messages[0]}", fields=error.fields) from error


def option_label(name: str) -> str:
    """An option's name in words; the name itself is shown beside it."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def describe_fields(method: str) -> list[dict[str, Any]]:
    """Every option that means something to a method: {name, type, nullable, default, min, above, max, choices, help, group, advanced}."""
    defaults = spec.defaults_for(method)
    return [_describe(item, defaults[item.name], method) for item in spec.config_fields(method)]


def describe_all() -> list[dict[str, Any]]:
    """Every option of any method, with the default that most of them share."""
    return [_describe(item, getattr(spec.Config(), item.name)) for item in spec.config_fields()]


def _describe(item: dataclasses.Field, default: Any, method: str | None = None) -> dict[str, Any]:
    kind, nullable = spec.field_type(item)
    rules = {key: item.metadata[key] for key in ("help", "group", "min", "above", "max", "advanced", "lines")}
    choices = list(spec.choices_of(item, method))
    return {
        "name": item.name,
        "label": option_label(item.name),
        "type": _OPENAPI_TYPES[kind],
        "nullable": nullable,
        "default": default,
        "choices": choices,
        **rules,
    }


def openapi_schema() -> dict[str, Any]:
    """The schema of a job's `config` object: the options of all methods."""
    options = [_describe(item, None) for item in spec.config_fields()]
    return {
        "type": "object",
        "description": "Hyper-parameters; what is left out takes the method's default.",
        "properties": {item["name"]: _property(item) for item in options},
        "additionalProperties": False,
    }


def _property(item: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [item["type"], "null"] if item["nullable"] else item["type"], "description": item["help"]}
    bounds = {"minimum": item["min"], "exclusiveMinimum": item["above"], "maximum": item["max"]}
    if item["type"] == "array":
        bounds = {"minItems": item["min"], "maxItems": item["max"], "items": {"type": "string"}}
    schema |= {key: value for key, value in bounds.items() if value is not None}
    if item["choices"]:
        schema["enum"] = item["choices"]
    return schema


class _Choice(forms.ChoiceField):
    """A select whose value the verb checks, like every other option's."""

    def validate(self, value: Any) -> None:
        return


class Suggested(Protocol):
    """A value that suits better than the default, and why."""

    @property
    def value(self) -> Any: ...
    @property
    def reason(self) -> str: ...


def form_field(item: dict[str, Any], suggestion: Suggested | None = None) -> forms.Field:
    """One option as a form field. Left empty it means the recommended value, which is shown in grey: the suggested one, or the
    method's default. Values are checked by the verb, so that the page and the API can't disagree; help and bounds are the spec's."""
    words = [item["help"], _bounds(item)]
    if suggestion:
        item = item | {"default": suggestion.value}
        words.append(suggestion.reason)
    field = _form_field(item | {"help": " ".join(text for text in words if text)}, option_label(item["name"]))
    field.code_name = item["name"]  # type: ignore[attr-defined]  # components/field.html shows it beside the label
    return field


def _bounds(item: dict[str, Any]) -> str:
    """The range of a number, as a short sentence."""
    low, above, high = item["min"], item["above"], item["max"]
    if item["type"] not in {"integer", "number"} or (low is None and above is None and high is None):
        return ""
    begin = f"Above {_plain(above)}" if above is not None else f"From {_plain(low)}" if low is not None else "Any number"
    return f"{begin}{f' to {_plain(high)}' if high is not None else ''}."


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _form_field(item: dict[str, Any], label: str) -> forms.Field:
    help_text, shown = item["help"], _shown(item["default"])
    if item["type"] == "boolean":
        choices = [("", f"Recommended ({shown})"), ("true", "yes"), ("false", "no")]
        return _Choice(required=False, label=label, help_text=help_text, choices=choices)
    if item["choices"]:
        choices = [("", f"Recommended ({shown})"), *((choice, choice) for choice in item["choices"])]
        return _Choice(required=False, label=label, help_text=help_text, choices=choices)
    attributes = {"placeholder": shown, "autocomplete": "off", "spellcheck": "false"}
    if item["type"] in {"integer", "number"}:
        attributes["inputmode"] = "numeric" if item["type"] == "integer" else "decimal"
    if item["lines"]:
        widget: forms.Widget = forms.Textarea(attrs={"rows": 3, "placeholder": "one a line"})
        return forms.CharField(required=False, label=label, help_text=help_text, widget=widget)
    return forms.CharField(required=False, label=label, help_text=help_text, widget=forms.TextInput(attrs=attributes))


def form_value(item: dict[str, Any], text: str) -> Any:
    """What was typed into the form, as the verb expects it: words or lines as a list, yes/no as bool, numbers still as text."""
    if item["type"] == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if item["type"] == "array":
        words = text.splitlines() if item["lines"] else text.replace(",", " ").split()
        return [word.strip() for word in words if word.strip()]
    return text


def form_text(value: Any, name: str = "") -> str:
    """A stored value of an option as text for the form."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ("\n" if name in LINES else " ").join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(default: Any) -> str:
    if default is None:
        return "chosen at the start"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return form_text(default)
