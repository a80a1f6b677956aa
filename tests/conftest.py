"""The people of the tests: alice owns things, charlie owns nothing of hers, olivia is an operator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.valkey import valkey_server

if TYPE_CHECKING:
    from tests.loopback_trackers import Trackers

PASSWORD = "a-long-enough-passphrase"


def pytest_configure(config: pytest.Config) -> None:
    if "RECORD_ANSWERS" in os.environ:
        from tests.answers import install

        config.add_cleanup(install())


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """The broker, channel layer and cache of the tests are a real Valkey, or the Redis that REDIS_URL names."""
    if "REDIS_URL" in os.environ:
        yield os.environ["REDIS_URL"]
        return
    with valkey_server(settings.VALKEY_SOCKET) as url:
        yield url


@pytest.fixture(scope="session")
def modal_process() -> Iterator[Any]:
    """The loopback Modal, which the official client is pointed at; one for all tests, since the client keeps its connections."""
    from tests.loopback_modal import LoopbackModal

    with pytest.MonkeyPatch.context() as patch, LoopbackModal() as server:
        patch.setenv("MODAL_CONFIG_PATH", "/nonexistent")
        patch.setenv("MODAL_SERVER_URL", server.url)
        yield server


@pytest.fixture
def trackers(settings: Any) -> Iterator[Trackers]:
    """Experiment trackers on loopback, which the operators allow."""
    from tests.loopback_trackers import Trackers

    with Trackers() as server:
        settings.TRACKER_ALLOWED_HOSTS = [server.allowed]
        yield server
        server.shutdown()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org", PASSWORD)


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", "charlie@example.org", PASSWORD)


@pytest.fixture
def olivia(db: None) -> User:
    return User.objects.create_superuser("olivia", "olivia@example.org", PASSWORD)


def _page(user: User | None) -> Client:
    client = Client()
    if user:
        client.force_login(user)
    return client


def _api(user: User | None) -> APIClient:
    client = APIClient()
    if user:
        client.force_authenticate(user)
    return client


@pytest.fixture
def page(alice: User) -> Client:
    """Alice in a browser."""
    return _page(alice)


@pytest.fixture
def charlie_page(charlie: User) -> Client:
    return _page(charlie)


@pytest.fixture
def anonymous_page(db: None) -> Client:
    return _page(None)


@pytest.fixture
def api(alice: User) -> APIClient:
    """Alice with the API."""
    return _api(alice)


@pytest.fixture
def charlie_api(charlie: User) -> APIClient:
    return _api(charlie)


@pytest.fixture
def anonymous_api(db: None) -> APIClient:
    return _api(None)
