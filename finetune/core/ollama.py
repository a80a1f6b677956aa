"""The door to an Ollama server, over its own HTTP API. No address is called that the operator did not allow (outbound.py).

What goes wrong comes back as Invalid (the server refused; asking again won't help) or Unavailable (it does not answer, or not to the end).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from finetune.core.errors import DomainError, Invalid, Unavailable, invalid_field

CHUNK = 4 * 1024**2
QUICK = 5.0  # seconds for questions that a healthy server answers at once
LONG = 1800.0  # a conversion says nothing while it works
DEFAULT_PORT = 11434


def checked_address(text: str) -> str:
    """`http://host:port` of what a person wrote. Invalid (field `server`) for anything the operator did not allow."""
    text = text.strip().rstrip("/")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT)
    except ValueError:
        host, port = "", 0
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.path or parts.query or parts.fragment:
        raise invalid_field("server", "An address looks like http://host:11434, without anything behind it.")
    if (host, port) not in _allowed():
        words = f"{host}:{port} is not an Ollama server that this installation may call. Its operator lists others in OLLAMA_ALLOWED_HOSTS."
        raise invalid_field("server", words, code="host_not_allowed")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def default_address() -> str:
    return checked_address(settings.OLLAMA_HOST)


def allowed_addresses() -> list[str]:
    """What people may choose, as host:port."""
    return [f"{host}:{port}" for host, port in sorted(_allowed())]


def _allowed() -> set[tuple[str, int]]:
    found = set()
    for text in (settings.OLLAMA_HOST, *settings.OLLAMA_ALLOWED_HOSTS):
        parts = urlsplit(text if "://" in text else f"http://{text}")
        found.add(((parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT)))
    return found


def version(server: str) -> str:
    """The server's version; Unavailable when it does not answer in a few seconds."""
    return str(_json(server, "GET", "/api/version").get("version", ""))


def list_models(server: str) -> list[dict[str, Any]]:
    """[{name, size, digest, modified_at, details}] of everything it has."""
    models = _json(server, "GET", "/api/tags").get("models")
    return [model for model in models if isinstance(model, dict) and model.get("name")] if isinstance(models, list) else []


def show(server: str, name: str) -> dict[str, Any]:
    """{details, template, parameters, model_info, …} of one model."""
    return _json(server, "POST", "/api/show", {"model": name})


def delete(server: str, name: str) -> None:
    """Remove a model; one that is gone already is no trouble."""
    try:
        _json(server, "DELETE", "/api/delete", {"model": name}, seconds=30)
    except Invalid as error:
        if error.code != "not_in_ollama":
            raise


def generate(server: str, body: dict[str, Any]) -> dict[str, Any]:
    """One whole answer; the model is loaded for it."""
    return _json(server, "POST", "/api/generate", {**body, "stream": False}, seconds=300)


def has_blob(server: str, sha256: str) -> bool:
    import httpx

    with _client(server, QUICK) as client, _translated(server):
        status = client.head(f"/api/blobs/sha256:{sha256}").status_code
        if status not in (httpx.codes.OK, httpx.codes.NOT_FOUND):
            raise Unavailable(f"The Ollama server answers with status {status}.", retry_after=30)
        return status == httpx.codes.OK


def put_blob(server: str, sha256: str, file: Path, on_bytes: Callable[[int], None]) -> None:
    """Send a file; `on_bytes(number)` is called for each piece and may raise to stop. A cut upload begins anew: the API has no other way."""

    def pieces() -> Iterator[bytes]:
        with open(file, "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
                on_bytes(len(chunk))

    headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
    with _client(server, LONG) as client, _translated(server):
        response = client.post(f"/api/blobs/sha256:{sha256}", content=pieces(), headers=headers)
        _refuse(response.status_code, response.content)


def create(server: str, body: dict[str, Any], on_status: Callable[[dict[str, Any]], None]) -> None:
    """Make a model of uploaded blobs. `on_status` gets each line: {status, digest?, total?, completed?}; it may raise to stop.

    Invalid with the server's words when a line is an error; Unavailable when the stream ends before its `success`.
    """
    last = ""
    with _client(server, LONG) as client, _translated(server), client.stream("POST", "/api/create", json=body) as response:
        if response.status_code >= 400:
            _refuse(response.status_code, response.read())
        for line in response.iter_lines():
            if not line.strip():
                continue
            told = json.loads(line)
            if "error" in told:
                raise Invalid(f"Ollama refused the model: {_short(told['error'])}", code="ollama_refused")
            last = str(told.get("status", ""))
            on_status(told)
    if last != "success":
        raise Unavailable(
            "The Ollama server ended the import before it was done. Look at its log, then import again.", retry_after=30
        )


def _client(server: str, seconds: float) -> Any:
    import httpx

    from finetune.core import outbound

    address, timeout = checked_address(server), httpx.Timeout(QUICK, read=seconds, write=60.0)
    return outbound.client(outbound.Rules(allowed=[urlsplit(address).netloc]), base_url=address, timeout=timeout)


def _json(server: str, method: str, path: str, body: dict[str, Any] | None = None, *, seconds: float = QUICK) -> dict[str, Any]:
    with _client(server, seconds) as client, _translated(server):
        response = client.request(method, path, json=body) if body is not None else client.request(method, path)
        _refuse(response.status_code, response.content)
        answer = json.loads(response.content or b"{}")
        if not isinstance(answer, dict):
            raise ValueError
        return answer


def _refuse(status: int, content: bytes) -> None:
    if status < 300:
        return
    try:
        words = _short(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        words = ""
    if status == 404:
        raise Invalid(f"The Ollama server does not know this model. {words}".strip(), code="not_in_ollama")
    if status == 403:
        raise Invalid("The Ollama server refuses requests under this name (status 403); address it as localhost or by its IP.")
    if status in (503, 429):
        raise Unavailable(f"The Ollama server is busy. {words}".strip(), retry_after=30)
    if status >= 500 or 300 <= status < 400:
        raise Unavailable(f"The Ollama server has a problem (status {status}). {words}".strip(), retry_after=30)
    raise Invalid(f"The Ollama server did not accept this: {words or status}", code="ollama_refused")


@contextmanager
def _translated(server: str) -> Iterator[None]:
    import httpx

    nobody = f"No Ollama server answers at {server}. Start it there (ollama serve), or name another in Models → Ollama."
    try:
        yield
    except DomainError as error:
        if error.code == "unknown_host":
            raise Unavailable(nobody, code="ollama_down", retry_after=30) from None
        raise
    except httpx.ConnectError:
        raise Unavailable(nobody, code="ollama_down", retry_after=30) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise Unavailable(
            f"The Ollama server at {server} stopped answering. Try again.", code="ollama_down", retry_after=30
        ) from None
    except ValueError:
        raise Unavailable(f"What answers at {server} is no Ollama server.", code="ollama_down", retry_after=30) from None


def _short(words: Any) -> str:
    return " ".join(str(words).split())[:300]
