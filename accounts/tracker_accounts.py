"""A person's accounts at experiment trackers: what is stored, opened for one use."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from accounts.models import Credential
from finetune.core import crypto

KINDS = (Credential.Kind.WANDB, Credential.Kind.MLFLOW)
PLACE = re.compile(r"[\w .-]{0,100}", re.ASCII)  # a team, a project, an experiment
PLACE_WORDS = "Letters, digits, spaces, dots, dashes and underscores, at most 100."
PLACES = ("url", "username", "entity", "project")  # what is known of an account beside its secret, as its person sees it


@dataclass(frozen=True)
class Tracker:
    """`secret` is a key, a token or a password; `info` is {url, username, entity, project}. Keep it nowhere."""

    kind: str
    url: str
    secret: str = field(repr=False)
    info: dict[str, Any] = field(default_factory=dict)


def tracker_of(user: Any, kind: str) -> Tracker | None:
    """None when this person has none. Conflict when the installation's keys don't open it any more."""
    credential = Credential.objects.filter(owner=user, kind=kind).first() if kind in KINDS else None
    return opened(credential) if credential else None


def opened(credential: Credential) -> Tracker:
    return Tracker(credential.kind, credential.info["url"], crypto.decrypt(credential.ciphertext), credential.info)


def connected(user: Any) -> Collection[str]:
    """The kinds this person has an account for."""
    return set(Credential.objects.filter(owner=user, kind__in=KINDS).values_list("kind", flat=True))
