"""The door to the Hub: the real client against a server on this machine, and a cache in a scratch directory."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from finetune.core import hub
from finetune.core.errors import Invalid, Unavailable

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz123456"
ALICE = {
    "type": "user",
    "name": "alice-hf",
    "orgs": [{"name": "acme", "roleInOrg": "write"}],
    "auth": {"type": "access_token", "accessToken": {"displayName": "laptop", "role": "write"}},
}


class Answers(BaseHTTPRequestHandler):
    """Answers every request with what the server was told to, and notes what was asked."""

    def do_GET(self) -> None:
        status, headers, body, release = self.server.answer  # type: ignore[attr-defined]
        self.server.asked.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        if release:
            release.wait(20)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(settings: Any) -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    settings.HF_ENDPOINT = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def tell(server: Any, status: int, body: Any, *, release: threading.Event | None = None, **headers: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    server.answer = (status, {"Content-Type": "application/json", **headers}, content, release)


def test_it_says_whose_token_it_is(server: Any) -> None:
    tell(server, 200, ALICE)
    assert hub.whoami(TOKEN) == hub.HubIdentity("alice-hf", "write", ["acme"], {"acme": "write"})
    assert server.asked == [("/api/whoami-v2", f"Bearer {TOKEN}")]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_invalid(server: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    tell(server, status, {"error": f"Invalid token {TOKEN}"})
    with caplog.at_level(logging.DEBUG), pytest.raises(Invalid) as refused:
        hub.whoami(TOKEN)
    assert "refused" in refused.value.message
    assert TOKEN not in refused.value.message
    assert TOKEN not in caplog.text


def test_a_busy_hub_is_unavailable_for_as_long_as_it_says(server: Any) -> None:
    tell(server, 429, {"error": "slow down"}, **{"Retry-After": "17"})
    with pytest.raises(Unavailable) as refused:
        hub.whoami(TOKEN)
    assert refused.value.retry_after == 17


@pytest.mark.parametrize(("status", "body"), [(500, b"<html>"), (503, b""), (200, b"<html>"), (200, b"{}"), (200, b"[1]")])
def test_a_broken_hub_is_unavailable(server: Any, status: int, body: bytes) -> None:
    tell(server, status, body)
    with pytest.raises(Unavailable):
        hub.whoami(TOKEN)


def test_a_silent_hub_is_unavailable_in_time(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TIMEOUT_SECONDS", 0.3)
    release = threading.Event()
    tell(server, 200, ALICE, release=release)
    with pytest.raises(Unavailable, match="can't be reached"):
        hub.whoami(TOKEN)
    release.set()


def test_no_hub_is_unavailable(settings: Any) -> None:
    settings.HF_ENDPOINT = "http://127.0.0.1:1"
    with pytest.raises(Unavailable, match="can't be reached"):
        hub.whoami(TOKEN)


@pytest.mark.parametrize("token", ["", "two words", "hf_line\nbreak", "hf_ü"])
def test_what_can_be_no_token_is_not_even_sent(server: Any, token: str) -> None:
    with pytest.raises(Invalid):
        hub.whoami(token)
    assert server.asked == []


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put(cache: Path, repo_id: str, revision: str, files: dict[str, str], *, refs: str = "main") -> Path:
    """A snapshot as the Hub's client lays it out: links into blobs."""
    repo = cache / f"models--{repo_id.replace('/', '--')}"
    snapshot = repo / "snapshots" / revision
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (repo / "refs" / refs).write_text(revision)
    for number, (name, content) in enumerate(files.items()):
        blob = repo / "blobs" / f"{revision}-{number}"
        blob.write_text(content)
        (snapshot / name).symlink_to(blob)
    return snapshot


CAUSAL = json.dumps({"architectures": ["LlamaForCausalLM"]})


def test_the_cache_lists_only_whole_causal_models(cache: Path) -> None:
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    good = put(cache, "acme/good", "c1", {"config.json": CAUSAL, "model.safetensors": "12345"})
    sharded = {"model.safetensors.index.json": index, "model-1.safetensors": "1"}
    put(cache, "acme/half", "c1", {"config.json": CAUSAL, **sharded})
    put(cache, "acme/whole", "c1", {"config.json": CAUSAL, **sharded, "model-2.safetensors": "2"})
    put(cache, "acme/bert", "c1", {"config.json": json.dumps({"architectures": ["BertForMaskedLM"]}), "model.safetensors": "1"})
    put(cache, "acme/pickle", "c1", {"config.json": CAUSAL, "pytorch_model.bin": "1"})
    put(cache, "acme/odd", "c1", {"config.json": "[]", "model.safetensors": "1"})
    put(cache, "gpt2", "c1", {"config.json": json.dumps({"architectures": ["GPT2LMHeadModel"]}), "model.safetensors": "1"})
    found = {model.repo_id: model for model in hub.cached_models()}
    assert set(found) == {"acme/good", "acme/whole", "gpt2"}
    assert (found["acme/good"].path, found["acme/good"].bytes) == (good, len(CAUSAL) + 5)


def test_no_cache_is_an_empty_cache(cache: Path) -> None:
    cache.rmdir()
    assert hub.cached_models() == []
    assert hub.find_cached("acme/good") is None


def test_a_model_is_found_by_commit_branch_and_default(cache: Path) -> None:
    files = {"config.json": CAUSAL, "model.safetensors": "1"}
    put(cache, "acme/good", "z-old", files, refs="v1")
    put(cache, "acme/good", "a-new", files, refs="main")
    revisions = [hub.find_cached("acme/good", wanted) for wanted in ("", "main", "v1", "z-old", "v9")]
    assert [model and model.revision for model in revisions] == ["a-new", "a-new", "z-old", "z-old", None]
