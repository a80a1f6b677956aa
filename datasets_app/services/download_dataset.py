"""Give a dataset's rows, or the uploaded file, back as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core.errors import Conflict, invalid_field

FORMATS = ("original", "jsonl", "parquet")
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Download:
    """A file on its way: `size` is None where its size is not known before."""

    filename: str
    content_type: str
    size: int | None
    chunks: Iterator[bytes]


def download_dataset(*, dataset: Dataset, format: str = "original", split: str = "") -> Download:
    """`original` is the uploaded file, byte for byte; `jsonl` and `parquet` are the normalised rows.

    Refuses an unknown format or split (Invalid), and rows of a dataset that is not ready (Conflict).
    """
    if format not in FORMATS:
        raise invalid_field("format", f"Choose one of: {', '.join(FORMATS)}.")
    stem = PurePath(dataset.source_name).name.split(".")[0] or "dataset"
    if format == "original" and not split:
        return _file(dataset.original_file, PurePath(dataset.source_name).name, "application/octet-stream")
    refuse_unready(dataset, split)
    if format == "parquet":
        return _file(dataset.rows_file, f"{stem}.parquet", "application/vnd.apache.parquet")
    return Download(f"{stem}.rows.jsonl", "application/jsonl", None, _lines(dataset.rows_file))


def _file(path: Path, filename: str, content_type: str) -> Download:
    try:
        return Download(filename, content_type, path.stat().st_size, _chunks(path))
    except FileNotFoundError:
        raise Conflict("The stored file is missing on the server.", code="file_missing") from None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _lines(path: Path) -> Iterator[bytes]:
    """One object a line, without our line numbers and without what a row does not have."""
    from datasets_app.formats import rowsfile

    for rows in rowsfile.iterate(path):
        kept = [{name: value for name, value in row.items() if name != "line" and value is not None} for row in rows]
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept).encode()
