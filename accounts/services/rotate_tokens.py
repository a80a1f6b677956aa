"""A refresh token is good for one exchange."""

from __future__ import annotations

from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts.models import User
from finetune.core.errors import DomainError


class RefusedToken(DomainError):
    """A refresh token that is expired, used before, revoked, or none at all: 401."""

    status = 401
    default_code = "token_not_valid"

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer valid. Sign in again.")


def rotate_tokens(*, refresh: str) -> dict[str, str]:
    """Exchange a refresh token for a new `{access, refresh}`; of two exchanges at once one wins.

    RefusedToken when it is expired, used, of an inactive account, or older than the account's password.
    """
    try:
        with transaction.atomic():
            old = RefreshToken(refresh)  # type: ignore[arg-type]
            user = _owner(old)
            _, won = old.blacklist()  # type: ignore[misc,has-type]
            if not won:  # type: ignore[has-type]
                raise RefusedToken
            new = RefreshToken.for_user(user)
    except TokenError as error:
        raise RefusedToken from error
    return {"access": str(new.access_token), "refresh": str(new)}


def _owner(token: RefreshToken) -> User:
    user = User.objects.filter(pk=token.payload.get(api_settings.USER_ID_CLAIM) or 0, is_active=True).first()
    if user is None or token.get(api_settings.REVOKE_TOKEN_CLAIM) != get_md5_hash_password(user.password):
        raise RefusedToken
    return user
