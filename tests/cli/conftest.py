"""The command line against the real API in this process: only the wire is left out."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from accounts.models import User
from finetune.cli import api as cli_api
from finetune.cli.main import main
from tests.conftest import PASSWORD


@pytest.fixture
def login_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AIFT_TOKEN", raising=False)
    monkeypatch.setenv("AIFT_CONFIG", str(tmp_path / "conf" / "login.json"))
    return tmp_path / "conf" / "login.json"


@pytest.fixture
def one_connection() -> Iterator[None]:
    """The requests run inside the test's transaction, so its connection must outlive them."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def run(
    one_connection: None, login_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, db: None
) -> Callable[..., Any]:
    """`run("jobs")` → (exit code, what was printed, what was said on standard error)."""
    transport = httpx.WSGITransport(app=get_wsgi_application())
    client = functools.partial(httpx.Client, transport=transport)
    monkeypatch.setattr(cli_api.httpx, "Client", client)
    monkeypatch.setattr(cli_api, "POLL_SECONDS", 0.01)

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def signed_in(run: Callable[..., Any], alice: User, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The same, as alice."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    code, _, said = run("login", "--url", "http://localhost", "--username", "alice", "--password-stdin")
    assert code == 0, said
    return run


def told(result: tuple[int, str, str]) -> Any:
    """What a command with --json gave."""
    assert result[0] == 0, result[2]
    return json.loads(result[1])
