"""A fresh pair of tokens for somebody who proved who they are."""

from __future__ import annotations

from django.contrib.auth.models import update_last_login
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.models import User


def issue_tokens(*, user: User) -> dict[str, str]:
    """`{access, refresh}`; counts as a sign-in (last_login)."""
    refresh = RefreshToken.for_user(user)
    update_last_login(User, user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}
