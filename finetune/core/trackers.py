"""What the doors to experiment trackers share: where they may go, how long they wait, and words for what goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
from django.conf import settings

from finetune.core import outbound
from finetune.core.errors import DomainError, Invalid, Unavailable, invalid_field

SECONDS = 10.0


def rules() -> outbound.Rules:
    """Any host on the public net; on private ones those that the operators allow."""
    return outbound.Rules(allowed=settings.TRACKER_ALLOWED_HOSTS, public=True)


def checked_url(text: str, default: str = "") -> str:
    """An address without a slash at its end; Invalid (field `url`) when it may not be called."""
    url = (text.strip() or default).rstrip("/")
    try:
        outbound.check_url(url, rules())
    except DomainError as error:
        raise invalid_field("url", error.message, code=error.code) from None
    return url


@contextlib.contextmanager
def translated(name: str, url: str) -> Iterator[None]:
    """httpx's errors in words. Never the request: it carries the key."""
    try:
        yield
    except httpx.HTTPError as error:
        raise Unavailable(f"{name} at {url} does not answer ({type(error).__name__}).", code="tracker_silent") from None


def checked(answer: httpx.Response, name: str) -> dict[str, Any]:
    """The answer's JSON. Invalid where asking again won't help, Unavailable where it may."""
    status = answer.status_code
    if status in (401, 403):
        raise Invalid(f"{name} refused the key or password ({status}).", code="key_refused")
    if status == 429 or status >= 500:
        raise Unavailable(f"{name} answers {status} now.", code="tracker_busy")
    try:
        found = answer.json() if answer.content else {}
    except ValueError:
        raise Invalid(f"What answers there is not {name}.", code="not_a_tracker") from None
    if status >= 400 and not (isinstance(found, dict) and found.get("error_code") == "RESOURCE_DOES_NOT_EXIST"):
        words = found.get("message") if isinstance(found, dict) else ""
        raise Invalid(f"{name} refused ({status}). {str(words or '')[:200]}".strip(), code="tracker_refused")
    return found if isinstance(found, dict) else {}
