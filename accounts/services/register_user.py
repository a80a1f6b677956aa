"""A new person. The first of an installation owns it."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.services.check_account import check_account
from finetune.core.errors import Conflict


def register_user(*, username: str, email: str, password: str) -> User:
    """Create an account; the first one becomes owner and operator of the installation (is_owner, is_staff, is_superuser).

    Refuses (Invalid, by field) a username with other signs than letters, digits and . + - _, a username or e-mail
    address that is taken in whatever case, and a password that is short, common, numeric or like the username.
    """
    user = User(username=username.strip(), email=User.objects.normalize_email(email.strip()))
    check_account(user=user, password=password)
    user.set_password(password)
    if not User.objects.exists() and _saved(user, first=True):
        return user
    if _saved(user, first=False):
        return user
    check_account(user=user)  # somebody took the name since the first check: says which
    raise Conflict("Somebody else registered at the same moment. Try again.")


def _saved(user: User, *, first: bool) -> bool:
    """Insert; False when a constraint forbids it (another first visitor won, or the name was taken meanwhile)."""
    user.pk = None
    user.is_owner = user.is_staff = user.is_superuser = first
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        user.pk = None
        return False
    return True
