"""The signed-in person of a request that only signed-in people reach."""

from __future__ import annotations

from typing import Any

from accounts.models import User


def person(request: Any) -> User:
    """`request.user` as a User; the middleware and the API's permissions have turned strangers away before."""
    user = request.user
    assert user.is_authenticated, "an anonymous request reached a private view"
    return user
