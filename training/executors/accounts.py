"""Whose account at Hugging Face a run uses, looked up each time: a token that was replaced takes effect at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Credential
from finetune.core import crypto, hub
from finetune.core.errors import DomainError, Forbidden, Invalid
from training.executors import AccessRefused

NO_TOKEN = "Save a Hugging Face token that may write in your settings."  # noqa: S105
READ_ONLY = "Your Hugging Face token may only read. Save one with the write role in your settings."


@dataclass(frozen=True)
class HubAccount:
    """A token and the namespace it belongs to."""

    namespace: str
    token: str = field(repr=False)


def hub_account(owner_id: int) -> HubAccount:
    """AccessRefused when no token is stored, or none that the keys open."""
    credential = _credential(owner_id)
    if credential is None:
        raise AccessRefused(NO_TOKEN)
    try:
        return HubAccount(str(credential.info.get("username") or ""), crypto.decrypt(credential.ciphertext))
    except DomainError as error:
        raise AccessRefused(error.message) from None


def stored_token_of(owner_id: int) -> str:
    """The owner's Hugging Face token where one is stored, else nothing: a base model may be gated."""
    try:
        return hub_account(owner_id).token
    except AccessRefused:
        return ""


def hub_reason(user: Any) -> str:
    """Why this person can't run anything at Hugging Face now, or nothing."""
    credential = _credential(user.pk) if user is not None else None
    if credential is None:
        return NO_TOKEN
    if not credential.valid:
        return "Hugging Face no longer accepts your token. Save a new one in your settings."
    return READ_ONLY if credential.info.get("role") == "read" else ""


def settings_page() -> str:
    """Where tokens are saved."""
    return reverse("settings-connections")


@contextmanager
def as_owner(account: HubAccount) -> Iterator[None]:
    """Refusals for lack of rights become AccessRefused. The Hub calls a private thing "not found" when it does not know the
    token any more, so then it is asked who the token is."""
    try:
        yield
    except Forbidden as error:
        if error.code == "no_credit":
            raise
        raise AccessRefused(error.message) from None
    except Invalid as error:
        if error.code == "not_on_hub" and not _is_known(account.token):
            raise AccessRefused(f"{settings.HF_ENDPOINT} refused the token. Save a new one in your settings.") from None
        raise


def _is_known(token: str) -> bool:
    try:
        hub.whoami(token)
    except Invalid:
        return False
    except DomainError:
        return True  # it does not answer: nothing is known against the token
    return True


def _credential(owner_id: int) -> Credential | None:
    return Credential.objects.filter(owner_id=owner_id, kind=Credential.Kind.HUGGING_FACE).first()
