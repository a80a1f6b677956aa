"""A refresh token is good for one exchange."""

from __future__ import annotations

import hashlib
import json

from django.core.cache import cache
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
from finetune.core import crypto
from finetune.core.errors import DomainError

# Two tabs of one browser may wake at the same moment and both exchange the token they share: for so long the second gets the
# answer of the first. It is no second pair, so that whoever stole the token holds what its owner holds, and the next exchange of
# either shows that there are two.
GRACE_SECONDS = 10


class RefusedToken(DomainError):
    """A refresh token that is expired, used before, revoked, or none at all: 401."""

    status = 401
    default_code = "token_not_valid"

    def __init__(self) -> None:
        super().__init__("This refresh token is no longer valid. Sign in again.")


def rotate_tokens(*, refresh: str, user_agent: str = "", address: str = "") -> dict[str, str]:
    """Exchange a refresh token for a new `{access, refresh}`. Exchanged again by the same client (`user_agent` and `address`) within
    GRACE_SECONDS, it gives the same pair.

    RefusedToken when it is expired, used, of an inactive account, of a sign-in that was ended, or older than the account's
    password. A token that was used before ends the whole sign-in with everything that came of it: two parties hold it, and
    one of them should not.
    """
    place = _place(refresh, user_agent, address)
    try:
        with transaction.atomic():
            old = RefreshToken(refresh)  # type: ignore[arg-type]
            user = _owner(old)
            _, won = old.blacklist()  # type: ignore[misc,has-type]
            if not won:  # type: ignore[has-type]
                raise TokenError("Exchanged at this very moment.")
            new = RefreshToken.for_user(user)
            _keep_family(old, new)
            pair = {"access": str(new.access_token), "refresh": str(new)}
            # Before the commit that lets a second exchange go on. Where the cache is dead nothing is exchanged: the old token stays good.
            cache.set(place, crypto.encrypt(json.dumps(pair)), GRACE_SECONDS)
    except TokenError as error:
        if answer := _answer_before(place, refresh):
            return answer
        _end_family_of_used(refresh)
        raise RefusedToken from error
    return pair


def _place(refresh: str, user_agent: str, address: str) -> str:
    """Where the answer to this client lies for a moment. The key tells nothing about the token."""
    return f"refresh:{hashlib.sha256(json.dumps([refresh, user_agent, address]).encode()).hexdigest()}"


def _answer_before(place: str, refresh: str) -> dict[str, str] | None:
    """The pair that this client was given for this token a moment ago, unless its sign-in was ended since."""
    kept = cache.get(place)
    if not kept:
        return None
    name = token_backend.decode(refresh, verify=True).get(FAMILY_CLAIM, "")  # type: ignore[arg-type]
    return json.loads(crypto.decrypt(kept)) if TokenFamily.objects.filter(name=name, ended_at=None).exists() else None


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
