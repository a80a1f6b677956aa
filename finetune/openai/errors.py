"""OpenAI's error shape: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from finetune.core.drf import exception_handler

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def openai_errors(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Our refusals in their shape, with the first named field as `param`."""
    response = exception_handler(exc, context)
    if response is not None:
        told, code = response.data, response.status_code
        fields = told.get("fields") or {}
        usual = "server_error" if code >= 500 else "invalid_request_error"
        response.data = error_body(
            told["detail"], kind=TYPES.get(code, usual), code=CODES.get(code, told["code"]), param=next(iter(fields), None)
        )
    return response


def error_body(message: str, *, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    """The body of a refusal, and of an error in the middle of a stream."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
