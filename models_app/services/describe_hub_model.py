"""Everything worth knowing about one Hub repository before it is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts.stored_token import stored_token
from finetune.core import hub_models
from finetune.core.hub_models import HubFile
from models_app.cards import render_card
from models_app.hub_repo import files_to_fetch
from models_app.hub_rows import checked_name
from models_app.hub_view import Shown, show


@dataclass(frozen=True)
class Described:
    """`files` are what a download fetches and `bytes` their sum; `card` is safe HTML; `commit` what the revision is now."""

    shown: Shown
    commit: str
    files: list[HubFile]
    bytes: int
    chat_template: bool
    card: str
    url: str


def describe_hub_model(*, owner: Any, repo_id: str, revision: str = "") -> Described:
    """Ask the Hub, with the owner's token. Invalid when there is no such repository; Unavailable when the Hub does not answer."""
    repo_id, revision = checked_name(repo_id, revision)
    token = stored_token(owner)
    found = hub_models.describe_model(repo_id, revision, token=token)
    config = hub_models.read_config(repo_id, found.commit, token=token)
    (shown,) = show(owner, [found], {found.repo_id: config})
    files = files_to_fetch(found.files, pickled=settings.ALLOW_PICKLE_MODELS) or found.files
    url = f"{settings.HF_ENDPOINT}/{found.repo_id}"
    return Described(
        shown=shown,
        commit=found.commit,
        files=files,
        bytes=sum(file.bytes for file in files),
        chat_template=found.chat_template,
        card=render_card(hub_models.read_text(repo_id, "README.md", found.commit, token=token), url),
        url=url,
    )
