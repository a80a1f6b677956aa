"""Files for the datasets' tests, and the short way from bytes to a read dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from datasets_app.formats.convert import Outcome, convert
from datasets_app.formats.jsonrows import Row
from datasets_app.formats.problems import Problem
from datasets_app.formats.readers import read_rows
from datasets_app.formats.source import Source
from datasets_app.models import Dataset
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import ingest

Read = Callable[[bytes, str], list[Row | Problem]]


def jsonl(*rows: Any) -> bytes:
    """Rows as JSON Lines; text is taken as a whole line as it stands."""
    return b"".join((row if isinstance(row, str) else json.dumps(row)).encode() + b"\n" for row in rows)


def pairs(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"What is {number} + 1?", "completion": f"It is {number + 1}."} for number in range(count)]


def upload_file(content: bytes, name: str = "rows.jsonl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def make_read(owner: User, content: bytes, name: str = "rows.jsonl", **values: Any) -> Dataset:
    """Upload, let the background half run, give the row as it is then."""
    dataset = upload_dataset(owner=owner, file=upload_file(content, name), **values)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    return dataset


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Everything the reader of this file name gives for these bytes."""

    def _read(content: bytes, name: str = "rows.jsonl") -> list[Row | Problem]:
        path = tmp_path / name
        path.write_bytes(content)
        with Source(path) as source:
            return list(read_rows(source))

    return _read


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., tuple[Outcome, Path]]:
    """What the pass over these bytes found, and the Parquet file it wrote."""

    def _converted(content: bytes, name: str = "rows.jsonl", mapping: dict[str, str] | None = None) -> tuple[Outcome, Path]:
        path, target = tmp_path / name, tmp_path / "out.parquet"
        path.write_bytes(content)
        with Source(path) as source:
            return convert(source, target, mapping or {}, lambda done, total: None), target

    return _converted
