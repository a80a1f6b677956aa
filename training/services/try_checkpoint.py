"""Ask a checkpoint, while its job is still running or after it."""

from __future__ import annotations

from typing import Any

from models_app.services.try_prompt import Params, checkpoint_weights, gather, queue_prompt, weights_of
from training.models import TrainingJob

CHECKPOINT, BASE = "checkpoint", "base"


def try_checkpoint(
    *, job: TrainingJob, step: int, messages: list[dict[str, str]], params: Params, with_base: bool = False
) -> list[dict[str, Any]]:
    """The answer of the job's checkpoint of this step and, with `with_base`, of the untrained base beside it.

    Each is {of: checkpoint | base, text, …} as `gather` says. Waits for the inference worker.
    Invalid, naming the field, when the checkpoint is not kept (any more), the prompt is empty or a parameter out of range;
    Conflict when the base's weights are gone; Unavailable when no worker answers.
    """
    weights: list[dict[str, Any]] = [{"id": CHECKPOINT, **checkpoint_weights(job.pk, step, job.model)}]
    if with_base:
        weights.append({"id": BASE, **weights_of(job.model)})
    outputs = gather(request_id=queue_prompt(weights, messages, params))
    return [{"of": output.pop("model_id"), **output} for output in outputs]
