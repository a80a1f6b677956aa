"""Why a run ended badly, in words with one thing to do. The engine classifies what it sees; this covers what it can't see."""

from __future__ import annotations

import signal
from typing import Any

from finetune.core.errors import DomainError
from training.engine import checkpoints
from training.engine.execute import DISK_FULL
from training.engine.failures import is_disk_full
from training.engine.rundir import RunDir
from training.event_log import storable
from training.executors import AccessRefused
from training.models import TrainingJob
from training.run_files import starting_point
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


def told_by_provider(run: RunDir, cause: dict[str, Any]) -> dict[str, Any] | None:
    """For an end that would only repeat itself: a time limit, an image that can't be built. None for any other."""
    if cause.get("timed_out"):
        message = "The provider ended the run at its time limit."
        return describe(
            run, code="timed_out", message=message, hint="Resume it: it goes on from its last checkpoint with a new limit."
        )
    if cause.get("build_failed"):
        message = f"The provider could not build the run's container: {cause['build_failed']}"
        return describe(run, code="build_failed", message=message, hint="Look at the provider's log below, then resume.")
    return None


def budget_reached(run: RunDir, job: TrainingJob) -> dict[str, Any]:
    """For a run that was stopped because its money is used up."""
    newest = checkpoints.newest(run.checkpoints)[0] or _begun_with(job)
    kept = f"its checkpoint of step {newest.step} is kept" if newest else "it had not written a checkpoint yet"
    message = f"The job's budget of ${job.budget} is used up, so it was stopped; {kept}."
    hint = f"Raise the job's budget and resume: it goes on {'where it stopped' if newest else 'from the beginning'}."
    return describe(run, code="budget_reached", message=message, hint=hint)


def _begun_with(job: TrainingJob) -> checkpoints.Checkpoint | None:
    """The checkpoint that the present attempt began with: without one of its own, the next begins with it again."""
    start = starting_point(job)
    if start.checkpoint:
        return checkpoints.open_checkpoint(start.checkpoint)
    return checkpoints.newest(start.directory)[0] if start.directory else None


def access_refused(run: RunDir, error: Exception) -> dict[str, Any]:
    """For a run that can't be followed any more because the owner's credentials are no longer accepted."""
    message = f"The run can't be followed any more: {error} It may still be going on there, until its time limit."
    return describe(
        run, code="access_refused", message=message, hint="Save new credentials, look at the provider's page, then resume."
    )


def out_of_sight(run: RunDir, error: Exception) -> dict[str, Any]:
    """For a run whose provider has not answered for a long time."""
    message = f"The provider has not answered for too long: {error}"
    hint = "Look at the provider's page and status. Runs that go on there are listed under Cloud runs; then resume."
    return describe(run, code="provider_error", message=message, hint=hint)


def lost(run: RunDir, cause: dict[str, Any], attempts: int) -> dict[str, Any]:
    """For an engine that vanished again and again."""
    times = f"{attempts} times" if attempts > 1 else "once"
    if cause.get("signal") == signal.SIGKILL:
        message = f"The training program was killed by the system {times}. Most often the machine ran out of memory."
        return describe(run, code="killed", message=message, hint="Lower per_device_train_batch_size or max_length, then resume.")
    if "provider" in cause:
        words = str(cause["provider"])[:200]
        return describe(run, code="provider_ended", message=f"The provider ended the run {times} ({words}).")
    if "signal" in cause:
        message = f"The training program crashed {times} ({_signal_name(cause['signal'])})."
        return describe(run, code="crashed", message=message)
    if not run.process_file.exists() and not cause:
        message = f"The training program did not start in time ({times})."
        hint = "The machine may be overloaded or a disk slow: look at the worker's log, then resume."
        return describe(run, code="timed_out", message=message, hint=hint)
    return describe(run, code="lost", message=f"The training program disappeared {times} without a word.")


def machine_lost(run: RunDir, name: str) -> dict[str, Any]:
    """For a run whose machine has gone silent; what it wrote there since its last published checkpoint is out of reach."""
    return describe(run, code="lost", message=f"The machine that ran it ({name}) has gone silent.")


def died_of_memory(run: RunDir, cause: dict[str, Any]) -> bool:
    """Whether a vanished engine ran out of memory: the kernel said so, or a library that can't go on without it gave up."""
    aborted = cause.get("signal") == signal.SIGABRT
    return bool(cause.get("out_of_memory")) or (aborted and any(words in read_tail(run.log_file, LOG_LINES) for words in ABORTS))


def killed_for_memory(run: RunDir) -> dict[str, Any]:
    """For an engine that the kernel killed because the machine's memory (or the container's share) was used up."""
    message = "The machine ran out of memory, and the training program was killed."
    hint = "Lower per_device_train_batch_size or max_length, or choose a smaller model; then resume."
    return describe(run, code="out_of_memory", message=message, hint=hint)


def disk_full(run: RunDir, what: str) -> dict[str, Any]:
    """For what needed room on the disk and found none."""
    return describe(run, code="disk_full", message=f"The disk is full: {what}.", hint="Free some space, then resume.")


def not_kept(run: RunDir, error: Exception) -> dict[str, Any]:
    """For a result that could not become a model version."""
    if is_disk_full(error):
        return disk_full(run, "training finished, but its result could not be kept")
    message = f"Training finished, but its result could not be kept: {error}"
    return describe(run, code="output_lost", message=message, hint="Look at the worker's log, then resume.")


def unexplained_exit(run: RunDir, code: int) -> dict[str, Any]:
    """For an engine that gave up before it could say why."""
    if code == DISK_FULL:
        return disk_full(run, "the training program could not even write why it stopped")
    message = f"The training program ended with exit code {code} before it could say why."
    return describe(run, code="internal", message=message)


def not_started(run: RunDir, error: Exception) -> dict[str, Any]:
    """For a run that could not even be prepared or launched."""
    if isinstance(error, FileNotFoundError):
        message = f"A file the run needs is missing: {error.filename}."
        return describe(
            run, code="bad_data", message=message, hint="Upload the dataset (or add the model) again and clone this job."
        )
    if isinstance(error, AccessRefused):
        return describe(run, code="access_refused", message=f"It could not be started: {error}", hint="Then resume the job.")
    if isinstance(error, DomainError) and error.code == "build_failed":
        hint = "Look at the builder's log on the provider's page, then resume."
        return describe(run, code="build_failed", message=str(error), hint=hint)
    if isinstance(error, DomainError):
        message = f"The service that was to run it refused or did not answer: {error}"
        hint = "Check the service's status and your credentials, then resume."
        return describe(run, code=error.code if error.code == "no_credit" else "provider_error", message=message, hint=hint)
    if is_disk_full(error):
        return disk_full(run, "the run's files could not be written")
    return describe(run, code="internal", message=f"The run could not be started: {error}.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
