"""The real product for these tests: the launcher starts it on a scratch DATA_DIR, and stops it at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from finetune.demo.client import Client
from tests.e2e.gallery import PASSWORD, Filled, fill
from tests.loopback_hub import LoopbackHub
from tests.loopback_trackers import Trackers


@dataclass(frozen=True)
class Stack:
    """A running installation."""

    url: str
    data_dir: Path

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the launcher ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} did not answer 200 in {seconds} s")


@pytest.fixture(scope="package")
def loopback_hub() -> Iterator[LoopbackHub]:
    """The Hub that the stack talks to; empty until a test puts something there."""
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="package")
def loopback_trackers() -> Iterator[Trackers]:
    """Experiment trackers that the stack may send curves to."""
    with Trackers() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, loopback_hub: LoopbackHub, loopback_trackers: Trackers) -> Iterator[Stack]:
    """Web, workers, beat and Valkey, as `make run` starts them."""
    data_dir = tmp_path_factory.mktemp("stack")
    port = free_port()
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            # The last: an engine that ran in this process goes offline, and says so in the environment.
            if name not in {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "HF_HUB_OFFLINE"}
        },
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "THROTTLE_DEFAULT": "",
        "THROTTLE_REGISTER": "",
        "THROTTLE_LOGIN": "",
        "HF_ENDPOINT": loopback_hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "TRACKER_ALLOWED_HOSTS": loopback_trackers.allowed,
    }
    process = subprocess.Popen([sys.executable, "-m", "finetune.launcher"], cwd=settings.BASE_DIR, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/readyz", process, 200)
        yield Stack(url, data_dir)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)


@pytest.fixture(scope="package")
def gallery(stack: Stack) -> Client:
    """Whose things are on every page of the product, once `filled` is asked for."""
    return Client(stack.url, "gallery", PASSWORD)


@pytest.fixture(scope="package")
def filled(gallery: Client) -> Filled:
    """What the person called gallery has: something on every page of the product."""
    return fill(gallery)
