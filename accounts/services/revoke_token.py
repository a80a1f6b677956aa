"""Sign-out of a script: its refresh token ends."""

from __future__ import annotations

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.services.rotate_tokens import RefusedToken


def revoke_token(*, refresh: str) -> None:
    """Refuse this refresh token from now on. RefusedToken when it was no longer good anyway."""
    try:
        RefreshToken(refresh).blacklist()  # type: ignore[arg-type]
    except TokenError as error:
        raise RefusedToken from error
