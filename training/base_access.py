"""May this person's token fetch the base model where the run will be? Asked of the Hub, remembered for a while."""

from __future__ import annotations

from django.core.cache import cache

from accounts.models import User
from accounts.stored_token import stored_token
from finetune.core import hub_models
from finetune.core.errors import DomainError, Forbidden, Invalid, invalid_field
from models_app.models import LanguageModel
from training import executors, placing

KEPT_SECONDS, SILENT_SECONDS = 600, 60


def refuse_base(*, owner: User, model: LanguageModel, executor: str) -> None:
    """Invalid, field `model_id`, when the run is elsewhere, fetches its base from the Hub itself, and would not get it."""
    if reason := base_reason(owner, model, executor):
        raise invalid_field("model_id", reason, code="gated")


def base_reason(owner: User, model: LanguageModel, executor: str) -> str:
    """Why the other side would not get the base model, or nothing. A Hub that does not answer says nothing against it."""
    if executors.load(executor).is_here or placing.base_on_hub(model) is None:
        return ""
    key = f"base-access:{owner.pk}:{model.repo_id}"
    if (kept := cache.get(key)) is not None:
        return kept
    try:
        reason, seconds = _asked(owner, str(model.repo_id)), KEPT_SECONDS
    except DomainError:
        reason, seconds = "", SILENT_SECONDS
    # A refusal is asked anew: its reader goes and changes what it is about.
    cache.set(key, reason, 5 if reason else seconds)
    return reason


def _asked(owner: User, repo_id: str) -> str:
    try:
        hub_models.check_access(repo_id, token=stored_token(owner))
    except Forbidden as error:
        return error.message
    except Invalid:
        return f"The run fetches “{repo_id}” from the Hub itself, and your token does not see it there. Save one that may read it."
    return ""
