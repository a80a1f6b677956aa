"""A base model from the Hugging Face Hub: a record, usable at once when this machine's Hub cache has its files."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from django.db import transaction

from finetune.core import hub
from finetune.core.errors import invalid_field
from models_app.announce import announce
from models_app.inspect_model import inspect_model
from models_app.models import LanguageModel
from models_app.services.number_version import lock_numbering, mark_latest, number_version

# owner/name or name, as the Hub allows; no leading dots, so it can never climb out of the cache directory.
REPO_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9_][\w./-]{0,63}")


def register_base(*, owner: Any, repo_id: str, name: str = "", revision: str = "") -> LanguageModel:
    """Add a Hub repository as a base model: `ready` with its facts when the local Hub cache has it, else `remote`.

    `revision` is a commit, branch or tag; empty for the default branch. Asked again for the same repository and revision it
    returns the same row, and makes it ready if its files have arrived since. Another revision is the family's next version.
    Invalid names `repo_id` or `revision` when they can't be such.
    """
    repo_id, revision = repo_id.strip(), revision.strip()
    _check(repo_id, revision)
    cached = hub.find_cached(repo_id, revision)
    facts = asdict(inspect_model(cached.path)) if cached else {}
    model = _row(owner, repo_id, name.strip(), cached.revision if cached else revision, asked=revision)
    if cached and model.status != LanguageModel.Status.READY:
        values = {"path": str(cached.path), "revision": cached.revision, **facts}
        if model.move(LanguageModel.Status.READY, when=("remote", "failed"), **values):
            announce(model)
    mark_latest(owner=owner, family=repo_id)
    model.refresh_from_db()
    return model


def _check(repo_id: str, revision: str) -> None:
    if not REPO_ID.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id:
        raise invalid_field("repo_id", "Name a Hub repository as owner/name, for example HuggingFaceTB/SmolLM2-135M-Instruct.")
    if revision and (not REVISION.fullmatch(revision) or ".." in revision):
        raise invalid_field("revision", "A revision is a commit, a branch or a tag.")


def _row(owner: Any, repo_id: str, name: str, revision: str, *, asked: str) -> LanguageModel:
    """The record of this repository and revision; a record that waits under the asked revision (a branch, none) counts too."""
    with transaction.atomic():
        lock_numbering(owner)
        rows = LanguageModel.objects.for_user(owner).filter(repo_id=repo_id, kind=LanguageModel.Kind.BASE)
        same = rows.filter(revision=revision).first() or rows.filter(revision=asked).exclude(status="ready").first()
        if same is None and not revision:  # the default branch of a repository we have, whose files left the cache
            same = rows.first()
        if same:
            return same
        values = {"name": name or repo_id.rsplit("/", 1)[-1], "kind": "base", "source": "hub", "status": "remote"}
        return number_version(owner=owner, family=repo_id, repo_id=repo_id, revision=revision, **values)
