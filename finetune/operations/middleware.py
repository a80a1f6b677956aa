"""Counts HTTP requests for /metrics."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from finetune.core.middleware import Around
from finetune.operations.metrics import REQUESTS


class CountRequests(Around):
    """By method and class of status; no path, which would be a new series for every row of the database."""

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        method = request.method if request.method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} else "other"
        REQUESTS.labels(method=method, status=f"{response.status_code // 100}xx").inc()
        return response
