"""A fresh pair of tokens for somebody who proved who they are."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import update_last_login
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.access_models import TokenFamily
from accounts.authentication import FAMILY_CLAIM
from accounts.models import User


def issue_tokens(*, user: User, user_agent: str = "", address: str = "") -> dict[str, str]:
    """`{access, refresh}`; counts as a sign-in (last_login). What is exchanged for one another belongs to one family, which
    the person sees and ends in the settings as the device of `user_agent` and `address`."""
    family = TokenFamily.objects.create(owner=user, name=uuid.uuid4().hex, user_agent=user_agent[:300], address=address[:64])
    audit.record("sign-in", actor=user, target=user, through="api")
    refresh = RefreshToken.for_user(user)
    refresh[FAMILY_CLAIM] = family.name
    update_last_login(User, user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}
