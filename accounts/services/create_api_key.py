"""A key for scripts, shown once."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

from django.utils import timezone

from accounts import audit
from accounts.access_models import ApiKey, digest_of
from accounts.authentication import KEY_PREFIX
from accounts.models import User
from finetune.core.errors import Conflict, invalid_field

MOST = 50


def create_api_key(*, user: User, name: str, scopes: Collection[str], expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """The row and the key itself, which nobody can see again. With the scope `read` it may read, with `write` also change things.

    Refuses (Invalid) an empty name, no or unknown scopes and an expiry in the past; Conflict when there are 50 keys already.
    """
    name = name.strip()
    if not name or len(name) > 100:
        raise invalid_field("name", "Give the key a name of at most 100 characters, such as the script it is for.")
    unknown = set(scopes) - set(ApiKey.Scope.values)
    if unknown or not scopes:
        raise invalid_field("scopes", f"Choose one or both of {', '.join(ApiKey.Scope.values)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise invalid_field("expires_at", "Choose a time in the future, or none.")
    if ApiKey.objects.for_user(user).count() >= MOST:
        raise Conflict(f"You have {MOST} API keys. Revoke those that are not needed any more.", code="too_many_keys")
    text = KEY_PREFIX + secrets.token_urlsafe(32)
    wanted = sorted(set(scopes) | {str(ApiKey.Scope.READ)})
    key = ApiKey.objects.create(
        owner=user, name=name, prefix=text[:12], digest=digest_of(text), scopes=wanted, expires_at=expires_at
    )
    audit.record("create API key", actor=user, target=key, scopes=wanted)
    return key, text
