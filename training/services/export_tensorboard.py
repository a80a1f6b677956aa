"""A job's curves as a file for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from training.engine.tensorboard import file_of, tagged
from training.models import TrainingJob
from training.services.read_metrics import read_metrics

MOST_POINTS = 20_000  # TensorBoard itself draws a thousand


def export_tensorboard(*, job: TrainingJob) -> Iterator[bytes]:
    """An event file of every recorded point, wherever the job ran and however many attempts it took; very long curves are thinned to
    their extremes."""
    points = read_metrics(job=job, max_points=MOST_POINTS).points
    ordered = sorted(points, key=lambda point: point["seq"])
    yield from file_of(
        (datetime.fromisoformat(str(point["time"])).timestamp(), point["step"], tagged(point["split"], point["values"]))
        for point in ordered
    )
