"""Forget the account at an experiment tracker."""

from __future__ import annotations

from accounts.models import User
from accounts.tracker_accounts import KINDS


def forget_tracker(*, user: User, kind: str) -> None:
    """Delete it; nothing happens when there is none. What was sent stays there, and nothing more is sent."""
    user.credentials.filter(kind=kind if kind in KINDS else "").delete()
