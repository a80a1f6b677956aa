"""A job's curves as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from training.models import TrainingJob
from training.services.read_metrics import all_points

FIXED = ("seq", "step", "epoch", "time", "split", "elapsed_seconds")


def export_metrics(*, job: TrainingJob) -> Iterator[bytes]:
    """CSV, a line for every point (none is thinned out), a column for every value that occurs; UTF-8, lines end with CR LF."""
    keys = list(dict.fromkeys(key for point in all_points(job) for key in point["values"]))
    yield _line([*FIXED, *keys])
    for point in all_points(job):
        yield _line([*(point[name] for name in FIXED), *(point["values"].get(key) for key in keys)])


def _line(cells: list[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
