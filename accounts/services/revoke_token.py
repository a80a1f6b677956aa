"""Sign-out of a script: its refresh token ends, and with it the sign-in it belongs to."""

from __future__ import annotations

from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.access_models import TokenFamily
from accounts.authentication import FAMILY_CLAIM
from accounts.services.rotate_tokens import RefusedToken


def revoke_token(*, refresh: str) -> None:
    """Refuse this refresh token and its sign-in's access tokens from now on. RefusedToken when it was no longer good anyway."""
    try:
        token = RefreshToken(refresh)  # type: ignore[arg-type]
        token.blacklist()
    except TokenError as error:
        raise RefusedToken from error
    family = TokenFamily.objects.filter(name=token.get(FAMILY_CLAIM) or "", ended_at=None).select_related("owner").first()
    if family is not None:
        TokenFamily.objects.filter(pk=family.pk).update(ended_at=timezone.now())
        audit.record("sign-out", actor=family.owner, target=family.owner, through="api")
