"""What every log record goes through: secrets taken out, and what it is about (request, user, job) put in.

`LOG_FORMAT=json` writes one JSON object a line; else one line of plain words. Both use the same filter.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.utils.functional import LazyObject

GONE = "[redacted]"
request_being_answered: ContextVar[Any] = ContextVar("request_being_answered", default=None)
job_being_followed: ContextVar[int | None] = ContextVar("job_being_followed", default=None)

# Each pattern keeps its first group. Order matters: the words before a secret first, then secrets that are known by their looks.
_SECRETS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(authorization['\"]?\s*(?:[:=,]|=>)\s*(?:b?['\"])?(?:(?:bearer|basic|token|digest)\s+)?)[^\s'\",;]+",
        r"(\bbearer\s+)[\w.~+/=-]{6,}",
        r"([?&;\s'\"](?:token|access|refresh|access_token|refresh_token|api_key|apikey|password|secret)=)[^&\s'\"#;]+",
        r"(['\"](?:token|access|refresh|password|secret|old_password|new_password|api_key)['\"]\s*:\s*['\"])[^'\"]+",
        r"(\b(?:sessionid|csrftoken)=)[^;\s'\"]+",
        r"(\baws_(?:secret_access_key|session_token)['\"]?\s*[:=]\s*['\"]?)[^\s'\",;]+",
        r"(\w+://[^\s:/@]*:)[^\s@/]+(?=@)",
        r"(\bhf_)\w{6,}",
        r"(\baift_)[\w-]{6,}",
        r"(\beyJ)[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
    )
]


def redact(text: str) -> str:
    """The text without tokens, passwords, Authorization headers and session cookies."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{GONE}", text)
    return text


class Redact(logging.Filter):
    """Takes secrets out of a record's message, arguments and traceback before any formatter sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        record.exc_text = redact(record.exc_text) if record.exc_text else None
        record.stack_info = redact(record.stack_info) if record.stack_info else None
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a wrong format string: better half a message than none
        return f"{record.msg} {record.args}"


class JsonLines(logging.Formatter):
    """{"time", "level", "logger", "message"} and what is known of {"request_id", "user_id", "job_id", "exception", "stack"}."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **context(record),
        }
        if record.exc_text or record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """Time, level, logger, what it is about, message."""

    def format(self, record: logging.LogRecord) -> str:
        about = " ".join(f"{name}={value}" for name, value in context(record).items())
        record.about = f" [{about}]" if about else ""
        return super().format(record)


def context(record: logging.LogRecord) -> dict[str, Any]:
    """{request_id, user_id, job_id} as far as they are known here; asks no database."""
    given = getattr(record, "request", None)  # Django's own records name theirs, also when it is answered already
    request = given if hasattr(given, "request_id") else request_being_answered.get()
    job = job_being_followed.get()
    values = {"request_id": getattr(request, "request_id", None), "user_id": _user_id(request), "job_id": job}
    return {name: value for name, value in values.items() if value is not None}


def _user_id(request: Any) -> int | None:
    """Whose request it is, if somebody has asked before: request.user itself would be a query."""
    parts = vars(request) if request is not None else {}
    user = parts.get("user")  # the API's, once it has read the token; a page's is lazy and rests on the session
    return getattr(parts.get("_cached_user") if isinstance(user, LazyObject) else user, "pk", None)


@contextmanager
def about_job(pk: int) -> Iterator[None]:
    """Every record of the block carries the job's id."""
    token = job_being_followed.set(pk)
    try:
        yield
    finally:
        job_being_followed.reset(token)
