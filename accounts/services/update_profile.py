"""Change one's own name and address, and how the pages look."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.services.check_account import check_account
from finetune.core.errors import Conflict

FIELDS = ("username", "email", "first_name", "last_name", "theme")


def update_profile(*, user: User, **values: str) -> User:
    """Set any of FIELDS. Refuses (Invalid, by field) what register_user refuses; then `user` keeps its stored values."""
    changed = User.objects.get(pk=user.pk)
    for field in FIELDS:
        if field in values:
            setattr(changed, field, values[field].strip())
    changed.email = User.objects.normalize_email(changed.email)
    check_account(user=changed)
    try:
        with transaction.atomic():
            changed.save(update_fields=FIELDS)
    except IntegrityError:
        check_account(user=changed)
        raise Conflict("Somebody else took this name at the same moment. Try again.") from None
    return changed
