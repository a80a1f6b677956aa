"""Smaller micro-batches after memory ran out: the same rows in every optimizer step, in more and smaller pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.models import TrainingJob

SIZE, PIECES = "per_device_train_batch_size", "gradient_accumulation_steps"
MAX_MEMORY_RETRIES = 4


def fitted(config: dict[str, Any], times: int) -> dict[str, Any]:
    """The config with the micro-batch lowered `times` times: halved, or an odd one divided by its smallest factor.

    Size × accumulation never changes, so the rows of each step and the number of steps don't either.
    """
    size, pieces = config.get(SIZE, 1), config.get(PIECES, 1)
    for _ in range(times):
        factor = _smallest_factor(size)
        size, pieces = size // factor, pieces * factor
    return {**config, SIZE: size, PIECES: pieces} if times else config


def retry_reason(job: TrainingJob) -> str | None:
    """What is tried now that this job's memory ran out, in words; None when nothing is, or the user doesn't want it."""
    now, then = fitted(job.config, job.memory_retries), fitted(job.config, job.memory_retries + 1)
    allowed = job.config.get("retry_on_out_of_memory", False) and job.memory_retries < MAX_MEMORY_RETRIES
    if not allowed or now.get(SIZE, 1) == 1:
        return None
    return (
        f"Memory ran out with a batch size of {now[SIZE]}. It goes on from its last checkpoint with {then[SIZE]} and "
        f"{then[PIECES]} accumulation steps, so every step still learns from the same rows "
        f"(retry {job.memory_retries + 1} of {MAX_MEMORY_RETRIES})."
    )


def _smallest_factor(size: int) -> int:
    return next((factor for factor in range(2, int(size**0.5) + 1) if size % factor == 0), size) if size > 1 else 1
