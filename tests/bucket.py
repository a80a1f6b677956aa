"""An S3 bucket for tests: moto's server on a port of its own, in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "moto-key-id", "AWS_SECRET_ACCESS_KEY": "moto-secret-that-nobody-may-see", "AWS_REGION": "us-east-1"}
NAME = "files"


@contextmanager
def bucket_server() -> Iterator[dict[str, str]]:
    """Start it with an empty bucket; gives the environment of a process that uses it."""
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
