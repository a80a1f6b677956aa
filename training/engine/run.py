"""One attempt at a run, from the spec to the last event."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from . import lastwords, ranks, threads
from .attempt import Attempt
from .confine import VARIABLE, confine
from .events import EventLog, NoEvents
from .execute import BAD_SPEC, CANCELLED, DISK_FULL, End, broken_by, execute
from .failures import Failure, is_disk_full
from .process import identity
from .rundir import RunDir, write_atomic
from .spec import METHOD_KINDS, TrainingSpec
from .stopping import StopRequest
from .tensorboard import Curves


def run(path: Path) -> int:
    """Run the attempt in this directory and return its exit code. Everything else is said in events.jsonl."""
    run_dir = RunDir(path.resolve())
    if not run_dir.spec_file.is_file():
        print(f"{run_dir.spec_file} does not exist: write a spec first (training/engine/spec.py).", file=sys.stderr)
        return BAD_SPEC
    prepare_environment()
    confine(os.environ.pop(VARIABLE, None))
    try:
        return _run(run_dir)
    except OSError as error:
        if not is_disk_full(error):
            raise
        return DISK_FULL  # not even the last words could be written
    finally:
        lastwords.give_back(run_dir)


def _run(run_dir: RunDir) -> int:
    events, stop = EventLog(run_dir.events_file, Curves(run_dir.path)), StopRequest(run_dir)
    write_atomic(run_dir.process_file, json.dumps(identity(os.getpid())))
    lastwords.keep_room(run_dir)
    with stop.listening():
        try:
            spec = _read_spec(run_dir)
        except (ValueError, TypeError) as error:
            failure = Failure("bad_spec", str(error), "Correct the named option and start again.")
            return _failed(events, run_dir, failure, BAD_SPEC)
        attempt = Attempt(run_dir, spec, events, stop)
        return _tell(attempt, _train(attempt))


def _train(attempt: Attempt) -> End:
    if attempt.config.num_gpus == 1:
        return execute(attempt)
    try:
        return ranks.run_ranks(attempt)
    except Exception as error:  # noqa: BLE001 - as in execute
        return broken_by(error)


def _tell(attempt: Attempt, end: End) -> int:
    """The last word of the run, unless it succeeded: then it has been said."""
    if end.signal:  # a rank was killed: end the same way, so that whoever watches this process sees it
        attempt.events.sync()
        signal.signal(end.signal, signal.SIG_DFL) if end.signal != signal.SIGKILL else None
        os.kill(os.getpid(), end.signal)
    if end.failure:
        return _failed(attempt.events, attempt.dir, end.failure, end.code)
    if end.code == CANCELLED:
        attempt.events.emit("finished", outcome="cancelled", step=end.step, output=None, sha256=None, values={})
    attempt.events.sync()
    return end.code


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
    # oneDNN keeps a compiled product for every shape, and without padding every batch has its own: at their default of 1024
    # these caches hold a gigabyte. 128 are more than one step uses.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "128")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    # torch_compile: one layer is compiled, for batches of any length, instead of the whole model for each length.
    os.environ.setdefault("ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION", "true")
    os.environ.setdefault("ACCELERATE_DYNAMO_USE_DYNAMIC", "true")
    threads.prepare(os.environ)


def _failed(events: EventLog | NoEvents, run_dir: RunDir, failure: Failure, code: int) -> int:
    if failure.code == "disk_full":
        lastwords.make_room(run_dir)
    print(f"{failure.code}: {failure.message} {failure.hint}", file=sys.stderr, flush=True)
    events.emit("failed", code=failure.code, message=failure.message, hint=failure.hint)
    events.sync()
    return code
