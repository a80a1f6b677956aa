"""One attempt at a run, from the spec to the last event."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from pathlib import Path

from . import checkpoints, threads
from .attempt import Attempt
from .events import EventLog
from .failures import Failure, classify
from .process import identity
from .rundir import RunDir, write_atomic
from .spec import METHOD_KINDS, TrainingSpec
from .stopping import Cancelled, StopRequest

SUCCEEDED, FAILED, BAD_SPEC, CANCELLED = 0, 1, 2, 3  # exit codes


def run(path: Path) -> int:
    """Run the attempt in this directory and return its exit code. Everything else is said in events.jsonl."""
    run_dir = RunDir(path.resolve())
    if not run_dir.spec_file.is_file():
        print(f"{run_dir.spec_file} does not exist: write a spec first (training/engine/spec.py).", file=sys.stderr)
        return BAD_SPEC
    events, stop = EventLog(run_dir.events_file), StopRequest(run_dir)
    write_atomic(run_dir.process_file, json.dumps(identity(os.getpid())))
    with stop.listening():
        try:
            spec = _read_spec(run_dir)
        except (ValueError, TypeError) as error:
            failure = Failure("bad_spec", str(error), "Correct the named option and start again.")
            return _failed(events, run_dir, failure, BAD_SPEC)
        return _train(Attempt(run_dir, spec, events, stop))


def _train(attempt: Attempt) -> int:
    from .methods import train

    try:
        attempt.phase("preparing")
        attempt.stop.check()
        prepare_environment()
        train(attempt)
    except Cancelled as stopped:
        attempt.events.emit("finished", outcome="cancelled", step=stopped.step, output=None, sha256=None, values={})
        attempt.events.sync()
        return CANCELLED
    except BaseException as error:  # noqa: BLE001 - whatever it is, the last event must say it
        traceback.print_exc()
        failure = classify(error)
        return _failed(attempt.events, attempt.dir, failure, BAD_SPEC if failure.code == "bad_spec" else FAILED)
    attempt.events.sync()
    return SUCCEEDED


def _read_spec(run_dir: RunDir) -> TrainingSpec:
    spec = run_dir.read_spec()
    if spec.data.kind not in METHOD_KINDS[spec.method]:
        kinds = " or ".join(METHOD_KINDS[spec.method])
        raise ValueError(f"method: {spec.method} learns from {kinds} rows, and this dataset's are {spec.data.kind}.")
    return spec


def prepare_environment() -> None:
    """Settings of the libraries that must be there before they are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    # A model is a local directory: a run must neither wait for the network nor depend on it.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    threads.prepare(os.environ)


def _failed(events: EventLog, run_dir: RunDir, failure: Failure, code: int) -> int:
    if failure.code == "disk_full":  # make room for the words that explain it
        for path in [*run_dir.checkpoints.glob(f"{checkpoints.STAGING}*"), *run_dir.path.glob(f"{checkpoints.STAGING}*")]:
            shutil.rmtree(path, ignore_errors=True)
    print(f"{failure.code}: {failure.message} {failure.hint}", file=sys.stderr, flush=True)
    events.emit("failed", code=failure.code, message=failure.message, hint=failure.hint)
    events.sync()
    return code
