"""Give a dataset's rows, or the uploaded file, back as a stream."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core.errors import Conflict, invalid_field

FORMATS = ("original", "jsonl", "csv", "parquet")
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Download:
    """A file on its way: `size` is None where its size is not known before."""

    filename: str
    content_type: str
    size: int | None
    chunks: Iterator[bytes]


def download_dataset(*, dataset: Dataset, format: str = "original", split: str = "") -> Download:
    """`original` is the uploaded file, byte for byte; the others are the normalised rows, all or those of one split.

    A CSV cell holds a list of turns as JSON text, which reading a CSV understands again.

    Refuses an unknown format or split (Invalid), and rows of a dataset that is not ready (Conflict).
    """
    if format not in FORMATS:
        raise invalid_field("format", f"Choose one of: {', '.join(FORMATS)}.")
    stem = PurePath(dataset.source_name).name.split(".")[0] or "dataset"
    if format == "original" and split:
        format = "jsonl"
    if format == "original":
        return _file(dataset.original_file, PurePath(dataset.source_name).name, "application/octet-stream")
    refuse_unready(dataset, split, gated=True)
    path, stem = (dataset.split_file(split), f"{stem}.{split}") if split else (dataset.rows_file, f"{stem}.rows")
    if format == "parquet":
        return _file(path, f"{stem}.parquet", "application/vnd.apache.parquet")
    if not path.exists():
        raise Conflict("The stored file is missing on the server.", code="file_missing")
    if format == "csv":
        return Download(f"{stem}.csv", "text/csv; charset=utf-8", None, _cells(path))
    return Download(f"{stem}.jsonl", "application/jsonl", None, _lines(path))


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


def _cells(path: Path) -> Iterator[bytes]:
    """A header and one record a row; what begins like a formula is text to us and stays as it is."""
    from datasets_app.formats import rowsfile

    columns = rowsfile.columns_in_use(path)
    yield _records([columns])
    for rows in rowsfile.iterate(path):
        yield _records([[_cell(row.get(name)) for name in columns] for row in rows])


def _records(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
