"""Forget the stored Modal tokens."""

from __future__ import annotations

from accounts.models import Credential, User


def forget_modal_tokens(*, user: User) -> None:
    """Delete them; nothing happens when there are none. Runs that go on there are not followed any more."""
    user.credentials.filter(kind=Credential.Kind.MODAL).delete()
