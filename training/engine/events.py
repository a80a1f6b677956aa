"""What the engine says while it runs: one JSON object a line in events.jsonl, appended and flushed.

Every event is {"kind", "time", …}; `time` is seconds since 1970 (float). Values are finite numbers or null.

started      {resumed_from_step, total_steps, epochs, trainable_parameters, parameters, device, dtype, packages, train_rows, eval_rows}
phase        {phase: preparing|training|evaluating|saving, note?}
metric       {step, epoch, split: train|eval, values: {loss, learning_rate, grad_norm, tokens_per_second, …},
              elapsed_seconds}                        elapsed_seconds counts training steps only, never evaluation or saving
log          {level: info|warning|error, text}
checkpoint   {step, path, bytes, values}              path is relative to the run directory
sample       {step, prompt, text}                     one of the spec's sample_prompts, answered as the model stood at that step
memory       {peak_bytes, device}
finished     {outcome: succeeded|cancelled, step, output, sha256, values}
failed       {code, message, hint}                    code: out_of_memory nan_loss disk_full bad_data bad_model bad_spec gated_model
                                                      lost timed_out internal
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from .tensorboard import Curves


class EventLog:
    """Appends events to a file. A line is written by one write call, so a reader never sees two halves mixed.

    Half a line (a kill in mid-write, a full disk) is closed with a line feed before the next; readers skip it.
    """

    def __init__(self, path: Path, curves: Curves | None = None):
        """`curves` is told of every metric event too."""
        self._curves = curves
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._descriptor).st_size
        self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def emit(self, kind: str, **values: Any) -> None:
        """Append one event. NaN and infinities become null: JSON has neither."""
        values = _finite(values)
        line = json.dumps({"kind": kind, "time": time.time(), **values}, allow_nan=False).encode() + b"\n"
        data = b"\n" + line if self._torn else line
        self._torn = True
        self._torn = os.write(self._descriptor, data) != len(data)
        if self._curves and kind == "metric":
            self._curves.take(values)

    def sync(self) -> None:
        """Force the events to disk (before the engine reports an end)."""
        os.fsync(self._descriptor)


class NoEvents:
    """The log of a rank that is not the first: what it would say, rank 0 says."""

    def emit(self, kind: str, **values: Any) -> None:
        return

    def sync(self) -> None:
        return


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
