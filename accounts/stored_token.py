"""The person's Hugging Face token for one call to the Hub."""

from __future__ import annotations

from typing import Any

from accounts.models import Credential
from finetune.core import crypto


def stored_token(user: Any) -> str:
    """Decrypted; empty when none is stored. Pass it to the door and keep it nowhere."""
    credential = user.credentials.filter(kind=Credential.Kind.HUGGING_FACE).first()
    return crypto.decrypt(credential.ciphertext) if credential else ""
