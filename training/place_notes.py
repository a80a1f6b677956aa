"""What a place's card says beside its prices: that the base model can't be fetched there, or that the last run found no credit."""

from __future__ import annotations

from accounts.models import User
from models_app.models import LanguageModel
from training import executors
from training.base_access import base_reason
from training.models import TrainingJob

LOOKED_AT = 20  # newest ended jobs
BILLING = {"modal": "modal.com/settings/billing"}
HUB_BILLING = "huggingface.co/settings/billing"


def troubles(owner: User, model: LanguageModel | None, place: str) -> dict[str, str]:
    """Why this base can't be trained at the chosen `place`, by executor; others are not asked about until they are chosen."""
    if model is None or not executors.load(place).capabilities(owner).usable:
        return {}
    reason = base_reason(owner, model, place)
    return {place: reason} if reason else {}


def notes(owner: User) -> dict[str, str]:
    """By executor: the last job that ended there was refused for lack of credit, and where to add some."""
    ended = TrainingJob.objects.for_user(owner).filter(status__in=TrainingJob.FINISHED).exclude(executor="local")
    newest: dict[str, str] = {}
    for executor, error in ended.order_by("-finished_at").values_list("executor", "error")[:LOOKED_AT]:
        newest.setdefault(executor, (error or {}).get("code", ""))
    return {name: _no_credit(name) for name, code in newest.items() if code == "no_credit"}


def _no_credit(executor: str) -> str:
    where = BILLING.get(executor, HUB_BILLING)
    return f"Your last run here was refused for lack of credit. Add a payment method or credit at {where} before you start."
