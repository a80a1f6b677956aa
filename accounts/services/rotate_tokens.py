"""A refresh token is good for one exchange."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from accounts import audit
from accounts.access_models import TokenFamily
from accounts.authentication import FAMILY_CLAIM
from accounts.models import User
from finetune.core.errors import DomainError


class RefusedToken(DomainError):
    """A refresh token that is expired, used before, revoked, or none at all: 401."""

    status = 401
    default_code = "token_not_valid"

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer valid. Sign in again.")


def rotate_tokens(*, refresh: str) -> dict[str, str]:
    """Exchange a refresh token for a new `{access, refresh}`; of two exchanges at the same moment one wins.

    RefusedToken when it is expired, used, of an inactive account, of a sign-in that was ended, or older than the account's
    password. A token that was used before ends the whole sign-in with everything that came of it: two parties hold it, and
    one of them should not.
    """
    try:
        with transaction.atomic():
            old = RefreshToken(refresh)  # type: ignore[arg-type]
            user = _owner(old)
            _, won = old.blacklist()  # type: ignore[misc,has-type]
            if not won:  # type: ignore[has-type]
                raise RefusedToken
            new = RefreshToken.for_user(user)
            _keep_family(old, new)
    except TokenError as error:
        _end_family_of_used(refresh)
        raise RefusedToken from error
    return {"access": str(new.access_token), "refresh": str(new)}


def _owner(token: RefreshToken) -> User:
    user = User.objects.filter(pk=token.payload.get(api_settings.USER_ID_CLAIM) or 0, is_active=True).first()
    if user is None or token.get(api_settings.REVOKE_TOKEN_CLAIM) != get_md5_hash_password(user.password):
        raise RefusedToken
    return user


def _keep_family(old: RefreshToken, new: RefreshToken) -> None:
    name = old.get(FAMILY_CLAIM)
    if not TokenFamily.objects.filter(name=name, ended_at=None).update(seen_at=timezone.now()):
        raise RefusedToken
    new[FAMILY_CLAIM] = name


def _end_family_of_used(refresh: str) -> None:
    """If this is a refresh token of ours that was exchanged before, nobody who has its descendants gets on with them."""
    try:
        payload = token_backend.decode(refresh, verify=True)  # type: ignore[arg-type]
    except TokenBackendError:
        return
    used = BlacklistedToken.objects.filter(token__jti=payload.get(api_settings.JTI_CLAIM, "")).exists()
    family = TokenFamily.objects.filter(name=payload.get(FAMILY_CLAIM, ""), ended_at=None).select_related("owner").first()
    if used and family is not None:
        TokenFamily.objects.filter(pk=family.pk).update(ended_at=timezone.now())
        audit.record("refresh token used twice", target=family.owner, ended=family.pk)
