"""A base model's row for a repository and revision of the Hub: found or made, one a person."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction

from finetune.core.errors import invalid_field
from models_app.models import LanguageModel
from models_app.services.number_version import lock_numbering, number_version

# owner/name or name, as the Hub allows; no leading dots, so it can never climb out of a directory.
REPO_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9_][\w./-]{0,63}")
_ADDRESS = re.compile(r"^https?://[^/]+/")


def checked_name(repo_id: str, revision: str = "") -> tuple[str, str]:
    """The repository and revision without the decoration people paste. Invalid names `repo_id` or `revision`."""
    repo_id, revision = _ADDRESS.sub("", repo_id.strip()).split("/tree/")[0].strip("/"), revision.strip()
    if not REPO_ID.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id:
        raise invalid_field("repo_id", "Name a Hub repository as owner/name, for example HuggingFaceTB/SmolLM2-135M-Instruct.")
    if revision and (not REVISION.fullmatch(revision) or ".." in revision):
        raise invalid_field("revision", "A revision is a commit, a branch or a tag.")
    return repo_id, revision


def base_row(owner: Any, repo_id: str, name: str, revision: str, *, asked: str) -> LanguageModel:
    """The record of this repository and revision; a record that waits under the asked revision (a branch, none) counts too."""
    with transaction.atomic():
        lock_numbering(owner)
        rows = LanguageModel.objects.for_user(owner).filter(repo_id=repo_id, kind=LanguageModel.Kind.BASE)
        same = rows.filter(revision=revision).first() or rows.filter(revision=asked, status__in=("remote", "failed")).first()
        if same is None and not revision:  # the default branch of a repository we have, whose files left the cache
            same = rows.first()
        if same:
            return same
        values = {"name": name or repo_id.rsplit("/", 1)[-1], "kind": "base", "source": "hub", "status": "remote"}
        return number_version(owner=owner, family=repo_id, repo_id=repo_id, revision=revision, **values)
