"""A base model from the Hugging Face Hub: a record, usable at once when this machine's Hub cache has its files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from finetune.core import hub
from models_app.announce import announce
from models_app.hub_rows import base_row, checked_name
from models_app.inspect_model import inspect_model
from models_app.models import LanguageModel
from models_app.services.number_version import mark_latest


def register_base(*, owner: Any, repo_id: str, name: str = "", revision: str = "") -> LanguageModel:
    """Add a Hub repository as a base model: `ready` with its facts when the local Hub cache has it, else `remote`.

    `revision` is a commit, branch or tag; empty for the default branch. Asked again for the same repository and revision it
    returns the same row, and makes it ready if its files have arrived since. Another revision is the family's next version.
    Invalid names `repo_id` or `revision` when they can't be such.
    """
    repo_id, revision = checked_name(repo_id, revision)
    cached = hub.find_cached(repo_id, revision)
    facts = asdict(inspect_model(cached.path)) if cached else {}
    model = base_row(owner, repo_id, name.strip(), cached.revision if cached else revision, asked=revision)
    if cached and model.status != LanguageModel.Status.READY:
        values = {"path": str(cached.path), "revision": cached.revision, **facts}
        if model.move(LanguageModel.Status.READY, when=("remote", "failed"), **values):
            announce(model)
    mark_latest(owner=owner, family=repo_id)
    model.refresh_from_db()
    return model
