"""Why a run failed, in words: every exception becomes {code, message, hint} of the `failed` event (see events.py)."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from .spec import SpecError

NO_SPACE = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing file")
NO_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory", "CUBLAS_STATUS_ALLOC_FAILED",
             "could not create a primitive", "could not create a memory")  # fmt: skip  # oneDNN's words for a failed allocation


@dataclass(frozen=True)
class Failure:
    """What is told about a failed run. `hint` is one thing to do about it."""

    code: str
    message: str
    hint: str


class EngineError(Exception):
    """A failure the engine understands: its code, a plain sentence and one suggestion."""

    def __init__(self, code: str, message: str, hint: str = ""):
        super().__init__(message)
        self.failure = Failure(code, message, hint)


def bad_data(message: str, hint: str = "Correct the dataset and start again.") -> EngineError:
    return EngineError("bad_data", message, hint)


def bad_row(line: int, message: str) -> EngineError:
    """A row that can't be used, named by its line in the file the user uploaded."""
    return bad_data(f"Line {line}: {message}", "Correct or remove this row and upload the dataset again.")


def bad_model(message: str, hint: str = "Download the model again or choose another one.") -> EngineError:
    return EngineError("bad_model", message, hint)


def bad_spec(field: str, message: str) -> EngineError:
    return EngineError("bad_spec", f"{field}: {message}", f"Change {field} and start again.")


def nan_loss(step: int, what: str, last_checkpoint: int | None) -> EngineError:
    """The numbers left the finite; `what` names which (loss, gradients or weights)."""
    kept = f"The last good checkpoint is step {last_checkpoint}." if last_checkpoint else "No checkpoint was written before."
    return EngineError(
        "nan_loss",
        f"The {what} became infinite or not a number at step {step}. {kept}",
        "Lower learning_rate (to a third, say), keep max_grad_norm at 1.0, and prefer bf16 or full precision to fp16.",
    )


# What other libraries say → our code, sentence and suggestion. The first that fits counts.
KNOWN: tuple[tuple[tuple[str, ...], Failure], ...] = (
    (
        ("gated repo", "GatedRepoError", "Access to model", "401 Client Error"),
        Failure(
            "gated_model",
            "The model is gated: its owner has to grant you access.",
            "Accept the model's terms on its Hub page, save your token in the settings, and download the model again.",
        ),
    ),
    (
        ("Connection closed by peer", "Connection reset by peer", "NCCL error", "ncclRemoteError", "Broken pipe"),
        Failure(
            "lost",
            "The connection to another process of this run was lost.",
            "Resume from the last checkpoint; should it come again, look at the log's last lines.",
        ),
    ),
    (
        ("TimeoutError", "Timed out", "timed out", "Watchdog caught collective operation timeout"),
        Failure(
            "timed_out",
            "Something took too long and was given up.",
            "Resume from the last checkpoint; the log's end says what it was.",
        ),
    ),
)


def classify(error: BaseException) -> Failure:
    """The Failure for any exception that ended a run. Nothing is lost: the traceback is in the log."""
    if isinstance(error, EngineError):
        return error.failure
    if isinstance(error, SpecError):
        return Failure("bad_spec", str(error), "Correct the named option and start again.")
    text = f"{type(error).__name__}: {error}"
    if _is_out_of_memory(error, text):
        return Failure(
            "out_of_memory",
            f"The run needs more memory than {'the GPU' if 'CUDA' in text or 'CUBLAS' in text else 'this device'} has.",
            "Halve per_device_train_batch_size and double gradient_accumulation_steps, or lower max_length.",
        )
    if is_disk_full(error):
        return Failure(
            "disk_full",
            "The disk is full: a checkpoint or the result could not be written.",
            "Free some space or lower save_total_limit, then resume from the last checkpoint.",
        )
    for words, failure in KNOWN:
        if any(word in text for word in words):
            return failure
    return Failure("internal", f"The engine stopped unexpectedly: {text[:500]}", "Look at the log's last lines; resuming may help.")


def is_disk_full(error: BaseException) -> bool:
    """Whether it says so by its number, or, where a library wrapped it, in words."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(words in str(error) for words in NO_SPACE)


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY))
