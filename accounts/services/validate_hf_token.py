"""Ask the Hub again whether the stored token is still good."""

from __future__ import annotations

from dataclasses import asdict

from django.utils import timezone

from accounts.models import Credential, User
from finetune.core import crypto, hub
from finetune.core.errors import Conflict, Invalid


def validate_hf_token(*, user: User) -> Credential:
    """Check the stored token; it stays stored, marked `valid` or not. Conflict when none is stored; Unavailable when the
    Hub can't be asked (then nothing changes)."""
    credential = user.credentials.filter(kind=Credential.Kind.HUGGING_FACE).first()
    if credential is None:
        raise Conflict("No Hugging Face token is stored. Save one first.", code="no_token")
    try:
        credential.info = asdict(hub.whoami(crypto.decrypt(credential.ciphertext)))
        credential.valid = True
    except Invalid:
        credential.valid = False
    credential.checked_at = timezone.now()
    credential.save(update_fields=["info", "valid", "checked_at"])
    return credential
