"""A new password, which ends everything that was opened with the old one."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.services.check_account import check_account
from accounts.services.end_sign_ins import end_sign_ins
from finetune.core.errors import invalid_field


def change_password(*, user: User, old_password: str, new_password: str, session_key: str = "") -> User:
    """Replace the password. Every session but the one with `session_key` (which the surface renews), every access and refresh
    token issued before ends. API keys go on.

    Refuses (Invalid) a wrong old_password and a new_password that the password rules don't accept.
    """
    if not user.check_password(old_password):
        raise invalid_field("old_password", "This is not your current password.", code="wrong_password")
    check_account(user=user, password=new_password, password_field="new_password")  # noqa: S106 (a field's name)
    with transaction.atomic():
        user.set_password(new_password)
        user.save(update_fields=["password"])
        end_sign_ins(user=user, all_but=session_key)
    audit.record("change password", actor=user, target=user)
    return user
