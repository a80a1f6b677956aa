"""A bucket that two machines share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from finetune import env
from tests import bucket


@pytest.fixture(scope="package")
def bucket_environment() -> Iterator[dict[str, str]]:
    with bucket.bucket_server() as environment:
        yield environment


@pytest.fixture
def objects(bucket_environment: dict[str, str]) -> Callable[[], list[str]]:
    """The names of all objects in the bucket."""
    found = bucket.client(bucket_environment)
    return lambda: [item["Key"] for item in found.list_objects_v2(Bucket=bucket.NAME).get("Contents", [])]


@pytest.fixture
def on(
    bucket_environment: dict[str, str], db: None, settings, tmp_path: Path, monkeypatch, objects
) -> Iterator[Callable[[str], Path]]:
    """`on("a")` is being on machine a: gives its DATA_DIR."""
    for name, value in bucket_environment.items():
        monkeypatch.setenv(name, value)
    settings.STORAGE_URL = bucket_environment["STORAGE_URL"]
    shared, settings.STORAGE_PREFIX = env.bucket_from_url(settings.STORAGE_URL)
    settings.STORAGES = {**settings.STORAGES, "shared": shared}

    def go(machine: str) -> Path:
        settings.DATA_DIR = tmp_path / machine
        settings.DATA_DIR.mkdir(exist_ok=True)
        return settings.DATA_DIR

    go("a")
    yield go
    found = bucket.client(bucket_environment)
    for name in objects():
        found.delete_object(Bucket=bucket.NAME, Key=name)
