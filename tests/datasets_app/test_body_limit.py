"""A request's size: announced or sent, too much of it ends with 413 before any view runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from finetune.core.body_limit import ENVELOPE, BodyLimit


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 5 * ENVELOPE
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = ENVELOPE


async def ask(path: str, chunks: list[bytes], announced: int | None = None) -> tuple[int, bytes | None]:
    """(status told to the client, the body the application got or None when it saw a disconnect or nothing)."""
    sent: list[dict] = []
    got: list[bytes | None] = []
    waiting: Iterator[bytes] = iter(chunks)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        for _ in chunks:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
        got.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict:
        return {"type": "http.request", "body": next(waiting), "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    await BodyLimit(app)({"type": "http", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], got[0] if got else None


CHUNK = b"x" * ENVELOPE


@pytest.mark.parametrize(
    "path", ["/api/datasets/upload", "/api/datasets/upload/", "/api/datasets/upload-batch", "/datasets/upload"]
)
async def test_uploads_may_be_as_large_as_an_upload(path: str) -> None:
    assert await ask(path, [CHUNK] * 6, 6 * ENVELOPE) == (200, CHUNK * 6)
    assert await ask(path, [CHUNK], 6 * ENVELOPE + 1) == (413, None)
    assert await ask(path, [CHUNK] * 7) == (413, None)


async def test_everything_else_is_small() -> None:
    assert await ask("/api/auth/login", [CHUNK] * 2) == (200, CHUNK * 2)
    assert await ask("/api/auth/login", [CHUNK] * 3) == (413, None)
    assert await ask("/sign-in", [CHUNK], 10 * ENVELOPE) == (413, None)
