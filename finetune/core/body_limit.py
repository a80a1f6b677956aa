"""How much a request may send. Django's ASGI handler writes the whole body to disk before any view runs, so it is stopped here."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

ENVELOPE = 1024**2  # what multipart puts around the files
# Routes that take files; everything else is forms and JSON.
UPLOADS = frozenset({"/datasets/upload", "/api/datasets/upload", "/api/datasets/upload-batch", "/v1/files"})


class BodyLimit:
    """ASGI middleware: 413 as soon as the announced or received bytes pass the limit of the route."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit = settings.MAX_UPLOAD_BYTES if scope["path"].rstrip("/") in UPLOADS else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if _announced(scope) > limit + ENVELOPE:
            await _refuse(send, limit)
            return
        await self.app(scope, _Counted(receive, send, limit), send)


class _Counted:
    """`receive`, until the body passes the limit; then the client is told and the application sees a disconnect."""

    def __init__(self, receive: Any, send: Any, limit: int):
        self.receive = receive
        self.send = send
        self.limit = limit
        self.seen = 0

    async def __call__(self) -> dict[str, Any]:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        if message["type"] == "http.request" and self.seen > self.limit + ENVELOPE:
            await _refuse(self.send, self.limit)
            return {"type": "http.disconnect"}
        return message


def _announced(scope: dict[str, Any]) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


async def _refuse(send: Any, limit: int) -> None:
    body = json.dumps(
        {"detail": f"The request is larger than the limit of {limit / 1000**2:,.0f} MB.", "code": "too_large"}
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
