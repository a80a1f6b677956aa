"""Ask an outside system again whether it accepts what is stored."""

from __future__ import annotations

import json

from django.utils import timezone

from accounts.models import Credential, User
from accounts.services.save_tracker import checked_tracker
from accounts.services.validate_hf_token import validate_hf_token
from accounts.tracker_accounts import opened
from finetune.core import crypto, modal_runs
from finetune.core.errors import Conflict, Forbidden, Invalid

Kind = Credential.Kind


def check_credential(*, user: User, kind: str) -> Credential:
    """Check it; it stays stored, marked `valid` or not. Conflict when none is stored; Unavailable when nobody answers (then nothing
    changes)."""
    if kind == Kind.HUGGING_FACE:
        return validate_hf_token(user=user)
    credential = user.credentials.filter(kind=kind).first()
    if credential is None:
        raise Conflict("Nothing is stored to be checked. Save it first.", code="no_token")
    try:
        if kind == Kind.MODAL:
            stored = json.loads(crypto.decrypt(credential.ciphertext))
            modal_runs.check_tokens(modal_runs.Tokens(stored["id"], stored["secret"]))
        else:
            credential.info = {**credential.info, **checked_tracker(opened(credential))}
        credential.valid = True
    except (Invalid, Forbidden):
        credential.valid = False
    credential.checked_at = timezone.now()
    credential.save(update_fields=["info", "valid", "checked_at"])
    return credential
