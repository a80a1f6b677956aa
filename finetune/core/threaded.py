"""Django's ASGI handler with middlewares and view in one thread."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponseBase


class Threaded(ASGIHandler):
    """No middleware and no view here is a coroutine, so a request goes to a thread once and comes back once. Django's own handler
    sends it there and back for every hook of every middleware, which costs more than many a page."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
