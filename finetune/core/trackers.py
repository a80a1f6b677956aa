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
NOT_THERE = "not_at_the_tracker"  # the code of a refusal: what was asked for does not exist there


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
    """httpx's errors in words. Never the request: it carries the key. A name that nobody knows now may be known again later."""
    try:
        yield
    except Invalid as error:
        if error.code != "unknown_host":
            raise
        raise Unavailable(f"{name} at {url} can't be found now.", code="tracker_silent") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{name} at {url} does not answer ({type(error).__name__}).", code="tracker_silent") from None


def checked(answer: httpx.Response, name: str) -> dict[str, Any]:
    """The answer's JSON. Invalid where asking again won't help, Unavailable where it may."""
    status = answer.status_code
    if status in (401, 403):
        raise Invalid(f"{name} refused the key or password ({status}).", code="key_refused")
    if status == 429 or status >= 500:
        raise Unavailable(f"{name} answers {status} now.", code="tracker_busy")
    if 300 <= status < 400:
        raise Invalid(
            f"What answers there sends elsewhere ({status}), where nobody follows. Give {name}'s own address.", code="not_a_tracker"
        )
    try:
        found = answer.json() if answer.content else {}
    except ValueError:
        raise Invalid(f"What answers there is not {name}.", code="not_a_tracker") from None
    told = found if isinstance(found, dict) else {}
    if status >= 400:
        code = NOT_THERE if told.get("error_code") == "RESOURCE_DOES_NOT_EXIST" else "tracker_refused"
        raise Invalid(f"{name} refused ({status}). {str(told.get('message') or '')[:200]}".strip(), code=code)
    return told
