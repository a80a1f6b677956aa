"""Files on their way to a browser: streamed from threads, so that neither memory nor the event loop notices their size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header


def stream_file(
    request: HttpRequest, chunks: Iterator[bytes], *, filename: str, content_type: str, size: int | None = None
) -> StreamingHttpResponse:
    """An attachment made of chunks. Django would gather a plain iterator whole before it sends it over ASGI."""
    body = _in_threads(chunks) if isinstance(request, ASGIRequest) else chunks
    response = StreamingHttpResponse(body, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, filename)
    if size is not None:
        response["Content-Length"] = str(size)
    return response


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    take = sync_to_async(next, thread_sensitive=False)
    while (chunk := await take(chunks, None)) is not None:  # type: ignore[call-arg]
        yield chunk
