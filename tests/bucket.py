"""An S3 bucket for tests: moto's server on a port of its own, in this process; and being on several machines that share it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finetune import env

KEYS = {"AWS_ACCESS_KEY_ID": "moto-key-id", "AWS_SECRET_ACCESS_KEY": "moto-secret-that-nobody-may-see", "AWS_REGION": "us-east-1"}
NAME = "files"


@contextmanager
def bucket_server() -> Iterator[dict[str, str]]:
    """Start it with an empty bucket; gives the environment of a process that uses it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {**KEYS, "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}", "STORAGE_URL": f"s3://{NAME}/aift"}
    try:
        client(environment).create_bucket(Bucket=NAME)
        yield environment
    finally:
        server.stop()


def client(environment: dict[str, str]):
    """boto's own client, to look at what lies there."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=environment["AWS_ENDPOINT_URL_S3"], aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"], region_name=environment["AWS_REGION"],
    )  # fmt: skip


@pytest.fixture(scope="session")
def bucket_environment() -> Iterator[dict[str, str]]:
    with bucket_server() as environment:
        yield environment


@pytest.fixture
def objects(bucket_environment: dict[str, str]) -> Callable[[], list[str]]:
    """The names of all objects in the bucket."""
    found = client(bucket_environment)
    return lambda: [item["Key"] for item in found.list_objects_v2(Bucket=NAME).get("Contents", [])]


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
    found = client(bucket_environment)
    for name in objects():
        found.delete_object(Bucket=NAME, Key=name)
