"""The person's Hugging Face token: asked for its owner, encrypted, never shown again."""

from __future__ import annotations

from dataclasses import asdict

from django.utils import timezone

from accounts.models import Credential, User
from finetune.core import crypto, hub
from finetune.core.errors import Invalid, invalid_field


def save_hf_token(*, user: User, token: str) -> Credential:
    """Ask the Hub whose token this is and store it encrypted, in place of an older one.

    Refuses (Invalid, field `token`) an empty token and one the Hub refuses; Unavailable when the Hub can't be asked.
    In both cases what was stored before stays.
    """
    token = token.strip()
    if not token:
        raise invalid_field("token", "Paste your Hugging Face token.")
    try:
        identity = hub.whoami(token)
    except Invalid as error:
        raise invalid_field("token", error.message, code=error.code) from None
    values = {
        "ciphertext": crypto.encrypt(token),
        "last4": token[-4:],
        "valid": True,
        "info": asdict(identity),
        "checked_at": timezone.now(),
    }
    credential, _ = Credential.objects.update_or_create(owner=user, kind=Credential.Kind.HUGGING_FACE, defaults=values)
    return credential
