"""Every request has an id: the caller's X-Request-ID if it looks like one, else a new one. It is in the logs and in the answer."""

from __future__ import annotations

import re
import uuid

from django.http import HttpRequest, HttpResponse

from finetune.core.logs import request_being_answered
from finetune.core.middleware import Around

_WELL_FORMED = re.compile(r"[\w.:/+=-]{1,100}", re.ASCII)


class RequestId(Around):
    """Outermost, so that whatever answers is covered."""

    def before(self, request: HttpRequest) -> HttpRequest:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        request_being_answered.set(request)
        return request

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        request_being_answered.set(None)
        return response
