"""Who calls the API: by a key of theirs, or by an access token of a sign-in that has not been ended."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework_simplejwt.authentication import JWTAuthentication

from accounts.access_models import ApiKey, TokenFamily, digest_of
from accounts.models import User

KEY_PREFIX = "aift_"
FAMILY_CLAIM = "family"
USE_NOTED_SECONDS = 60


def key_of(text: str) -> ApiKey | None:
    """The living key with this text, of an active person; notes once a minute that it was used."""
    now = timezone.now()
    living = ApiKey.objects.select_related("owner").filter(Q(expires_at=None) | Q(expires_at__gt=now), owner__is_active=True)
    key = living.filter(digest=digest_of(text)).first()
    if key and (key.last_used_at is None or (now - key.last_used_at).total_seconds() > USE_NOTED_SECONDS):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer aift_…`. A key without the scope `write` may only read."""

    def authenticate(self, request: Any) -> tuple[User, ApiKey] | None:
        words = get_authorization_header(request).decode("latin1").split()
        if len(words) != 2 or words[0].lower() != "bearer" or not words[1].startswith(KEY_PREFIX):
            return None
        key = key_of(words[1])
        if key is None:
            raise AuthenticationFailed("This API key is unknown, has expired or was revoked.")
        if request.method not in SAFE_METHODS and ApiKey.Scope.WRITE not in key.scopes:
            raise PermissionDenied("This API key may only read. Make one with the scope “write”.")
        return key.owner, key

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'


class TokenAuthentication(JWTAuthentication):
    """simplejwt's, which also refuses the access tokens of a sign-in that was ended."""

    def get_user(self, validated_token: Any) -> Any:
        user = super().get_user(validated_token)
        family = validated_token.get(FAMILY_CLAIM)
        if family and TokenFamily.objects.filter(name=family, ended_at__isnull=False).exists():
            raise AuthenticationFailed("This sign-in was ended. Sign in again.", code="token_not_valid")
        return user


class NotWithApiKey(BasePermission):
    """For what belongs to the person alone: passwords, keys, tokens. A key that leaked must not be able to make itself at home."""

    message = "An API key can't do this. Sign in with your password."

    def has_permission(self, request: Any, view: Any) -> bool:
        return bool(request.user and request.user.is_authenticated) and not isinstance(request.auth, ApiKey)
