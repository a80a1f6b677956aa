"""What every API view shares: one error shape, one list shape, owner-scoped viewsets."""

from __future__ import annotations

import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from finetune.core.errors import refusal_in


class Pagination(PageNumberPagination):
    """`?page=&page_size=`: 25 a page, 200 at most."""

    page_size = 25
    page_size_query_param = "page_size"
    max_page_size = 200


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal as `{detail, code, fields?}`."""
    if refusal := refusal_in(exc):
        return _response(refusal.status, refusal.message, refusal.code, refusal.fields, refusal.retry_after)
    if isinstance(exc, DjangoValidationError):
        fields = exc.message_dict if hasattr(exc, "error_dict") else {"non_field_errors": exc.messages}
        return _response(400, _first(fields), "invalid", fields)
    if isinstance(exc, exceptions.ValidationError):
        fields = _flatten(exc.detail)
        return _response(400, _first(fields), "invalid", fields)
    if isinstance(exc, (RequestDataTooBig, TooManyFilesSent)):
        return _response(413, "The request is too large.", "too_large")
    if isinstance(exc, Http404):
        return _response(404, "Not found.", "not_found")
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied(*exc.args)
    if isinstance(exc, exceptions.Throttled):
        wait = math.ceil(getattr(exc, "wait", None) or 1)  # seconds; missing from the stubs
        return _response(429, f"Too many requests. Try again in {wait} s.", "throttled", retry_after=wait)
    response = drf_exception_handler(exc, context)
    if response is not None and isinstance(exc, exceptions.APIException):
        response.data = {"detail": _text(exc.detail), "code": _code(exc)}
    return response


def _response(code: int, detail: str, name: str, fields: dict[str, Any] | None = None, retry_after: int | None = None) -> Response:
    body: dict[str, Any] = {"detail": detail, "code": name}
    if fields:
        body["fields"] = fields
    return Response(body, status=code, headers={"Retry-After": str(retry_after)} if retry_after else None)


def _flatten(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """DRF's nested error detail as `field.path` → messages."""
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for key, value in detail.items():
            found |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
        return found
    if isinstance(detail, list) and any(isinstance(item, (dict, list)) for item in detail):
        found = {}
        for index, item in enumerate(detail):
            found |= _flatten(item, f"{prefix}.{index}" if prefix else str(index))
        return found
    messages = detail if isinstance(detail, list) else [detail]
    return {prefix or "non_field_errors": [str(message) for message in messages]} if messages else {}


def _first(fields: dict[str, Any]) -> str:
    for field, messages in fields.items():
        return str(messages[0]) if field == "non_field_errors" else f"{field}: {messages[0]}"
    return "Invalid input."


def _text(detail: Any) -> str:
    if isinstance(detail, dict) and "detail" in detail:  # simplejwt wraps its sentence together with internals
        detail = detail["detail"]
    return _first(_flatten(detail)) if isinstance(detail, (dict, list)) else str(detail)


def _code(exc: exceptions.APIException) -> str:
    if exc.status_code == status.HTTP_401_UNAUTHORIZED:
        return "not_authenticated"
    codes = exc.get_codes()
    return codes if isinstance(codes, str) else str(exc.default_code)


class OwnedViewSetMixin:
    """A viewset over an OwnedQuerySet: whatever is not the caller's does not exist."""

    request: Any

    def get_queryset(self) -> Any:
        return super().get_queryset().for_user(self.request.user)  # type: ignore[misc]
