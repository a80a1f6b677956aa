"""A new password, which ends everything that was opened with the old one."""

from __future__ import annotations

from django.db import transaction
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import User
from accounts.services.check_account import check_account
from finetune.core.errors import invalid_field


def change_password(*, user: User, old_password: str, new_password: str) -> User:
    """Replace the password. Every session, access and refresh token issued before ends (the surface renews its own session).

    Refuses (Invalid) a wrong old_password and a new_password that the password rules don't accept.
    """
    if not user.check_password(old_password):
        raise invalid_field("old_password", "This is not your current password.", code="wrong_password")
    check_account(user=user, password=new_password, password_field="new_password")  # noqa: S106 (a field's name)
    with transaction.atomic():
        user.set_password(new_password)
        user.save(update_fields=["password"])
        _end_refresh_tokens(user)
    return user


def _end_refresh_tokens(user: User) -> None:
    """Access tokens end by themselves: each carries a mark of the password it was issued under (CHECK_REVOKE_TOKEN)."""
    live = OutstandingToken.objects.filter(user=user, blacklistedtoken=None)
    BlacklistedToken.objects.bulk_create([BlacklistedToken(token=token) for token in live], ignore_conflicts=True)
