"""Two installations: as `make run` starts it, and on a PostgreSQL that can be killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.chaos.installation import Installation
from tests.ops.launched import free_port, wait_until

pytest.register_assert_rewrite("tests.chaos.undisturbed")


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """The installations bring their own."""
    yield ""


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, Any]:
    """What the first run without any disturbance gave; every installation must give the same."""
    return {}


def _started(installation: Installation) -> Iterator[Installation]:
    installation.start()
    try:
        wait_until(lambda: installation.get("/readyz") == 200, 90, "readyz")
        installation.prepare()
        yield installation
    finally:
        if installation.process and installation.process.poll() is None:
            installation.interrupt()


@pytest.fixture(scope="package")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    yield from _started(Installation(tmp_path_factory.mktemp("embedded"), free_port()))


@pytest.fixture(scope="package")
def database() -> Iterator[servers.Server]:
    if not servers.available():
        pytest.skip("PostgreSQL is not installed.")
    # Not pytest's own folder, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="aift-database-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with servers.running(servers.postgres(Path(folder) / "postgres")) as server:
            yield server


@pytest.fixture(scope="package")
def production(tmp_path_factory: pytest.TempPathFactory, database: servers.Server) -> Iterator[Installation]:
    url = servers.database_url(database)
    yield from _started(Installation(tmp_path_factory.mktemp("production"), free_port(), DATABASE_URL=url))
