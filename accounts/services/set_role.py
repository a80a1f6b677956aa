"""Member or operator."""

from __future__ import annotations

from accounts import audit
from accounts.models import User
from finetune.core.errors import Conflict


def set_role(*, user: User, operator: bool) -> User:
    """An operator runs the installation: the admin, everybody's queue. Conflict for the owner, who stays an operator."""
    if user.is_owner and not operator:
        raise Conflict("The owner of the installation stays an operator.", code="owner")
    if user.is_staff != operator or user.is_superuser != operator:
        user.is_staff = user.is_superuser = operator
        user.save(update_fields=["is_staff", "is_superuser"])
        audit.record("make operator" if operator else "make member", target=user)
    return user
