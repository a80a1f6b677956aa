"""What a job needs before it may be created or started. One place, so that page, API and start agree."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from django.conf import settings

from datasets_app.models import Dataset
from finetune.core.errors import Invalid, invalid_field
from finetune.core.templatetags.ui import method_words
from models_app.models import LanguageModel
from training.device_reports import worker_devices
from training.engine import model as engine
from training.engine.installed import is_missing
from training.engine.plans import device_of
from training.engine.quantization import obstacle
from training.engine.ranks import CPU_PROCESSES
from training.engine.refusals import device_refusals, evaluation_refusals, model_refusals
from training.engine.spec import METHOD_KINDS, METHODS, Config, adapter_of, defaults_for
from training.executors import EXECUTORS

MINIMUM_ROWS = 2
KIND_WORDS = {"sft": "conversations", "text": "plain text", "preference": "preference pairs", "unpaired": "rated answers"}


def refuse_unknown_choice(*, method: str, executor: str) -> None:
    """Invalid when the method or the executor does not exist."""
    if method not in METHODS:
        raise invalid_field("method", f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}.")
    if executor not in EXECUTORS:
        raise invalid_field("executor", f"Unknown executor {executor!r}. Choose one of: {', '.join(EXECUTORS)}.")


def refuse_unusable(*, method: str, model: LanguageModel, dataset: Dataset, train_split: str, eval_split: str) -> None:
    """Invalid, naming every field at fault, when this model can't learn from this dataset with this method."""
    found = {
        "model_id": _model(model),
        "dataset_id": _dataset(dataset, method),
        "train_split": _split(dataset, train_split, "train_split"),
        "eval_split": _eval_split(dataset, train_split, eval_split),
    }
    fields = {field: [message] for field, message in found.items() if message}
    if fields:
        raise Invalid(next(iter(fields.values()))[0], fields=fields)


def refuse_devices(*, executor: str, config: dict[str, Any]) -> None:
    """Invalid when several devices are asked for and the training machine hasn't so many, or lacks the library to use them."""
    wanted, way = config.get("num_gpus", 1), config.get("distributed")
    if executor != "local" or wanted <= 1:
        return
    gpus = settings.TRAINING_GPUS or _most_gpus()
    if wanted > (gpus or int(os.environ.get(CPU_PROCESSES) or 1)):
        raise invalid_field("num_gpus", f"This machine has {gpus} GPU{'' if gpus == 1 else 's'}; {wanted} are asked for.")
    if way in ("fsdp", "deepspeed") and not gpus:
        raise invalid_field("distributed", f"{way} works on GPUs only. Leave it open, which means ddp.")
    if way == "deepspeed" and is_missing("deepspeed"):
        raise invalid_field("distributed", "deepspeed is not installed here. Install the deepspeed package, or choose fsdp.")


def refuse_config(
    *, method: str, executor: str, model: LanguageModel, dataset: Dataset, eval_split: str, config: dict[str, Any]
) -> None:
    """Invalid when the options ask for longer rows than the model reads, or for what it or the training machine can't do: layers it
    has not, a chat template it doesn't bring, four-bit weights, number formats, optimizers, kernels; or for a rule by eval_loss
    without rows to evaluate on.

    A max_length that was left alone is no wish: the engine lowers it to what the model reads, and says so.
    """
    length, context = config["max_length"], model.context_length
    if context and length > context and length != defaults_for(method)["max_length"]:
        raise invalid_field("max_length", f"“{model}” reads {context} tokens at most. Choose {context} or less.")
    if executor == "local" and adapter_of(method, config) == "qlora" and (reason := obstacle()):
        field = "method" if method == "qlora" else "adapter"
        raise invalid_field(field, reason)
    checked = Config(**config)
    found = model_refusals(method, checked, model.directory, dataset.kind)
    found |= evaluation_refusals(checked, evaluates=bool(eval_split) or checked.eval_fraction > 0)
    if executor == "local":
        found |= device_refusals(method, checked, _training_device())
    if found:
        name, words = next(iter(found.items()))
        raise Invalid(f"{name}: {words}", fields={field: [text[0].upper() + text[1:]] for field, text in found.items()})


def _most_gpus() -> int:
    """GPUs of the worker machine that has most of them: a run stays on one machine."""
    hosts = Counter(device.host for device in worker_devices() if device.kind == "cuda")
    return max(hosts.values(), default=0)


def _training_device() -> engine.Device:
    """The kind of device that a local run finds: the operator's word, else what the workers report."""
    if settings.TRAINING_GPUS:
        return engine.Device("cuda", "The training machine's GPU", True)
    device = worker_devices()[0]
    return device_of(device.kind, device.name, device.bf16)


def _model(model: LanguageModel) -> str:
    if model.status != LanguageModel.Status.READY:
        return f"The model “{model}” is not ready yet (it is {model.status}). Wait until it is, or choose another one."
    if model.adapter:
        return f"“{model}” is an adapter, not a whole model. Choose its base model, “{model.base_model}”."
    return ""


def _dataset(dataset: Dataset, method: str) -> str:
    if dataset.status != Dataset.Status.READY:
        return (
            f"The dataset “{dataset}” is not ready (it is {dataset.status}). Open it to see what is wrong, or wait for its check."
        )
    if dataset.kind not in METHOD_KINDS[method]:
        needed = " or ".join(KIND_WORDS[kind] for kind in METHOD_KINDS[method])
        return f"{method_words(method)} learns from {needed}; “{dataset}” holds {KIND_WORDS.get(dataset.kind, dataset.kind)}."
    if (dataset.rows or 0) < MINIMUM_ROWS:
        return f"“{dataset}” has {dataset.rows or 0} usable row(s). A dataset needs at least 2 rows, one to learn from and one to check."
    return ""


def _split(dataset: Dataset, split: str, field: str) -> str:
    if dataset.status != Dataset.Status.READY or split in dataset.splits:
        return ""
    return f"“{dataset}” has no split {split!r}. It has: {', '.join(dataset.splits) or 'none'}."


def _eval_split(dataset: Dataset, train_split: str, eval_split: str) -> str:
    if not eval_split:
        return ""
    if eval_split == train_split:
        return "Evaluating on the rows that are learned says nothing. Leave it empty to hold some rows out."
    return _split(dataset, eval_split, "eval_split")
