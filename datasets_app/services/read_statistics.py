"""A dataset's statistics: what one pass over the rows counted, and tokens estimated or measured."""

from __future__ import annotations

from typing import Any

from datasets_app.doctor.distribution import share_above
from datasets_app.doctor.tokens import recommended
from datasets_app.models import Dataset, Measurement
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core.errors import Conflict


def read_statistics(*, dataset: Dataset, measurement: Measurement | None = None, max_length: int | None = None) -> dict[str, Any]:
    """The statistics object of the API; with a finished measurement its exact tokens, else those estimated from bytes.

    `max_length` adds the share of the rows it would cut. Conflict while the dataset has no rows, or when measuring failed.
    """
    refuse_unready(dataset, gated=True)
    if measurement is not None and measurement.status == Measurement.Status.FAILED:
        raise Conflict(measurement.error, code="measuring_failed")
    summary, counts = dict(dataset.summary), dataset.report.get("counts", {})
    if summary.get("tokens"):
        advised = recommended(summary["tokens"]["p99"], summary["tokens"]["max"], None)
        summary |= {"recommended_max_length": advised, "cut_share": share_above(summary.get("curve", []), advised)}
    if measurement is not None and measurement.status == Measurement.Status.DONE:
        summary |= measurement.result | {"note": ""}
    points = summary.pop("curve", [])
    if max_length:
        summary["cut_share_at"] = {"max_length": max_length, "share": share_above(points, max_length)}
    return {
        "rows": dataset.report.get("valid_rows", dataset.rows),
        "bytes": dataset.bytes,
        "columns": dataset.columns,
        "duplicates": counts.get("duplicate", 0),
        "near_duplicates": counts.get("near_duplicate", 0),
        "conflicting": counts.get("conflicting", 0),
        "tokens": None,
        "trained_tokens": None,
        "turns": {},
        "roles": {},
        "languages": {},
        "estimated": True,
        **summary,
        "status": measurement.status if measurement else "done" if dataset.examined else "running",
        "progress": measurement.progress if measurement else dataset.progress,
    }
