"""One process's share of an attempt, and how it ended. Nothing is thrown: a run must always have a last word."""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import dataclass

from .attempt import Attempt
from .failures import Failure, classify
from .stopping import Cancelled

SUCCEEDED, FAILED, BAD_SPEC, CANCELLED, DISK_FULL = 0, 1, 2, 3, 4  # exit codes; the last where events can't be written


@dataclass(frozen=True)
class End:
    """How a process ended: an exit code with its failure or last kept step, or the signal that killed it."""

    code: int
    step: int = 0
    failure: Failure | None = None
    signal: int = 0


def failed(failure: Failure) -> End:
    return End(BAD_SPEC if failure.code == "bad_spec" else FAILED, failure=failure)


def execute(attempt: Attempt) -> End:
    """Train as the spec says, in this process."""
    from .methods import train

    try:
        attempt.phase("preparing")
        with attempt.stop.at_once():
            train(attempt)
    except Cancelled as stopped:
        return End(CANCELLED, step=stopped.step)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the last event must say it
        return broken_by(error)
    return End(SUCCEEDED)


def broken_by(error: BaseException) -> End:
    """The end that the exception being handled makes; its traceback goes to the log."""
    with contextlib.suppress(OSError):  # on a full disk there is no room for it
        traceback.print_exc()
    return failed(classify(error))
