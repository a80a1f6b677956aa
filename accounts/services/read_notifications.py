"""A person has seen what they were told."""

from __future__ import annotations

from django.utils import timezone

from accounts import unread
from accounts.models import User
from accounts.notice_models import Notification


def read_notifications(*, user: User) -> int:
    """Mark all of this person's notifications as read; how many were new."""
    number = Notification.objects.for_user(user).filter(read_at=None).update(read_at=timezone.now())
    unread.forget(user.pk)
    return number
