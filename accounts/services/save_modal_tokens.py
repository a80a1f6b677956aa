"""The person's Modal tokens: tried at Modal, encrypted, never shown again."""

from __future__ import annotations

import json

from django.utils import timezone

from accounts.models import Credential, User
from finetune.core import crypto, modal_runs
from finetune.core.errors import Forbidden, invalid_field
from finetune.core.modal_runs import Tokens


def save_modal_tokens(*, user: User, token_id: str, token_secret: str) -> Credential:
    """Ask Modal whether it accepts them and store them encrypted, in place of older ones.

    Refuses (Invalid, the field named) what does not look like Modal's `ak-…` and `as-…`, and what Modal refuses; Unavailable when Modal can't be
    asked. In both cases what was stored before stays.
    """
    tokens = Tokens(token_id.strip(), token_secret.strip())
    for field, value, prefix in (("token_id", tokens.id, "ak-"), ("token_secret", tokens.secret, "as-")):
        if not value.startswith(prefix) or not value.isascii() or not value.isprintable() or " " in value:
            raise invalid_field(field, f"Modal's begins with {prefix}. Copy it again from modal.com/settings/tokens.")
    try:
        modal_runs.check_tokens(tokens)
    except Forbidden:
        raise invalid_field("token_secret", "Modal refused these tokens. Check that both are whole and not revoked.") from None
    values = {
        "ciphertext": crypto.encrypt(json.dumps({"id": tokens.id, "secret": tokens.secret})),
        "last4": tokens.id[-4:],
        "valid": True,
        "info": {},
        "checked_at": timezone.now(),
    }
    credential, _ = Credential.objects.update_or_create(owner=user, kind=Credential.Kind.MODAL, defaults=values)
    return credential
