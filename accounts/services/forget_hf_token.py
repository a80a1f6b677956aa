"""Forget the stored Hugging Face token."""

from __future__ import annotations

from accounts.models import Credential, User


def forget_hf_token(*, user: User) -> None:
    """Delete it; nothing happens when there is none."""
    user.credentials.filter(kind=Credential.Kind.HUGGING_FACE).delete()
