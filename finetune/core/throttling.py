"""Rate limits, counted in the shared cache so that pages, API and every process see one counter."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.throttling import SimpleRateThrottle


class _ScopedThrottle(SimpleRateThrottle):
    def get_rate(self) -> str | None:
        return settings.THROTTLE_RATES[str(self.scope)]

    def get_cache_key(self, request: Any, view: Any) -> str:
        user = getattr(request, "user", None)
        ident = f"user-{user.pk}" if user is not None and user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def get_ident(self, request: Any) -> str:
        # The peer's own address: X-Forwarded-For is the proxy's business (uvicorn --proxy-headers), never the client's.
        return request.META.get("REMOTE_ADDR", "")


class DefaultThrottle(_ScopedThrottle):
    scope = "default"


class LoginThrottle(_ScopedThrottle):
    scope = "login"


class RegisterThrottle(_ScopedThrottle):
    scope = "register"


def seconds_to_wait(request: HttpRequest, throttle: type[_ScopedThrottle]) -> int:
    """Count this page request against the same limit as the API; 0 when it may pass."""
    limiter = throttle()
    if limiter.allow_request(request, None):  # type: ignore[arg-type]
        return 0
    return max(1, int(limiter.wait() or 1))
