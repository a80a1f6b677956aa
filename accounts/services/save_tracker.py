"""A person's account at an experiment tracker: tried there, encrypted, never shown again."""

from __future__ import annotations

from django.utils import timezone

from accounts.models import Credential, User
from accounts.tracker_accounts import KINDS, PLACE, PLACE_WORDS, Tracker
from finetune.core import crypto, mlflow, trackers, wandb
from finetune.core.errors import Invalid, invalid_field


def save_tracker(
    *, user: User, kind: str, secret: str = "", url: str = "", username: str = "", entity: str = "", project: str = ""
) -> Credential:
    """Ask the tracker whether it accepts them and store them encrypted, in place of older ones.

    `wandb`: `secret` is the API key, `url` the server (the cloud if empty), `entity` a team (one's own account if empty), `project`.
    `mlflow`: `url` the tracking server; `username` with a password, or a token alone, or neither; `project` the experiment.
    Refuses (Invalid, the field named) an address that may not be called, what the tracker refuses, and a Weights & Biases account
    without a key; Unavailable when the tracker can't be asked. In all cases what was stored before stays.
    """
    if kind not in KINDS:
        raise invalid_field("kind", f"Choose one of: {', '.join(KINDS)}.")
    secret = secret.strip()
    if kind == Credential.Kind.WANDB and not secret:
        raise invalid_field("secret", "Paste your API key.")
    info = {"url": trackers.checked_url(url, wandb.CLOUD if kind == Credential.Kind.WANDB else ""), "username": username.strip()}
    for field, value in (("entity", entity.strip()), ("project", project.strip())):
        if not PLACE.fullmatch(value):
            raise invalid_field(field, PLACE_WORDS)
        info[field] = value
    info |= checked_tracker(Tracker(kind, info["url"], secret, info))
    values = {"ciphertext": crypto.encrypt(secret), "last4": secret[-4:], "valid": True, "info": info, "checked_at": timezone.now()}
    credential, _ = Credential.objects.update_or_create(owner=user, kind=kind, defaults=values)
    return credential


def checked_tracker(tracker: Tracker) -> dict[str, str]:
    """What the tracker says about the account: {username} where it says something. Invalid (field `secret`), Unavailable."""
    try:
        if tracker.kind == Credential.Kind.WANDB:
            return {"username": wandb.viewer(wandb.Account(tracker.url, tracker.secret)).get("username") or ""}
        mlflow.check(mlflow.Account(tracker.url, tracker.info.get("username", ""), tracker.secret))
    except Invalid as error:
        raise invalid_field("secret" if error.code == "key_refused" else "url", error.message, code=error.code) from None
    return {}
