"""Why a run ended badly, in words with one thing to do. The engine classifies what it sees; this covers what it can't see."""

from __future__ import annotations

import errno
import signal
from typing import Any

from finetune.core.errors import Unavailable
from training.engine.rundir import RunDir
from training.event_log import storable
from training.services.read_log import read_tail

LOG_LINES = 40
# The last words of Rust's and C++'s allocators.
ABORTS = ("memory allocation of", "std::bad_alloc")
FALLBACK_HINT = "Look at the log's last lines, then resume from the last checkpoint or clone the job and change it."


def describe(run: RunDir, *, code: str, message: str, hint: str = "") -> dict[str, Any]:
    """The job's `error` object."""
    tail = read_tail(run.log_file, LOG_LINES)
    return storable({"code": code, "message": message, "hint": hint or FALLBACK_HINT, "log_tail": tail})


def from_event(run: RunDir, event: dict[str, Any]) -> dict[str, Any]:
    """From the engine's own `failed` event."""
    message = event.get("message") or "The training program reported a failure without saying which."
    return describe(run, code=event.get("code") or "internal", message=message, hint=event.get("hint") or "")


def lost(run: RunDir, cause: dict[str, int], attempts: int) -> dict[str, Any]:
    """For an engine that vanished again and again."""
    times = f"{attempts} times" if attempts > 1 else "once"
    if cause.get("signal") == signal.SIGKILL:
        message = f"The training program was killed by the system {times}. Most often the machine ran out of memory."
        return describe(run, code="killed", message=message, hint="Lower per_device_train_batch_size or max_length, then resume.")
    if "signal" in cause:
        message = f"The training program crashed {times} ({_signal_name(cause['signal'])})."
        return describe(run, code="crashed", message=message)
    if not run.process_file.exists() and not cause:
        message = f"The training program did not start in time ({times})."
        hint = "The machine may be overloaded or a disk slow: look at the worker's log, then resume."
        return describe(run, code="timed_out", message=message, hint=hint)
    return describe(run, code="lost", message=f"The training program disappeared {times} without a word.")


def died_of_memory(run: RunDir, cause: dict[str, int]) -> bool:
    """Whether a vanished engine ran out of memory: the kernel said so, or a library that can't go on without it gave up."""
    aborted = cause.get("signal") == signal.SIGABRT
    return bool(cause.get("out_of_memory")) or (aborted and any(words in read_tail(run.log_file, LOG_LINES) for words in ABORTS))


def killed_for_memory(run: RunDir) -> dict[str, Any]:
    """For an engine that the kernel killed because the machine's memory (or the container's share) was used up."""
    message = "The machine ran out of memory, and the training program was killed."
    hint = "Lower per_device_train_batch_size or max_length, or choose a smaller model; then resume."
    return describe(run, code="out_of_memory", message=message, hint=hint)


def unexplained_exit(run: RunDir, code: int) -> dict[str, Any]:
    """For an engine that gave up before it could say why."""
    message = f"The training program ended with exit code {code} before it could say why."
    return describe(run, code="internal", message=message)


def not_started(run: RunDir, error: Exception) -> dict[str, Any]:
    """For a run that could not even be prepared or launched."""
    if isinstance(error, FileNotFoundError):
        message = f"A file the run needs is missing: {error.filename}."
        return describe(
            run, code="bad_data", message=message, hint="Upload the dataset (or add the model) again and clone this job."
        )
    if isinstance(error, Unavailable):
        message = f"The service that was to run it refused or did not answer: {error}"
        return describe(
            run, code="provider_error", message=message, hint="Check the service's status and your credentials, then resume."
        )
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        message = "The disk is full: the run's files could not be written."
        return describe(run, code="disk_full", message=message, hint="Free some space, then resume.")
    return describe(run, code="internal", message=f"The run could not be started: {error}.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
