"""The audit log: who did what, from where. Sign-ins, tokens and keys, deletions, what operators do in the admin."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import DatabaseError, models, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from accounts.access_models import AuditEntry
from accounts.models import User
from finetune.core.logs import request_being_answered

logger = logging.getLogger(__name__)
# Deleting one of these is written down, whichever surface it came from. By name: the apps lie above this one.
DELETIONS = {
    "datasets_app.dataset", "models_app.languagemodel", "training.trainingjob", "training.jobtemplate",
    "accounts.user", "accounts.credential", "accounts.apikey", "accounts.invitation",
}  # fmt: skip
ADMIN_WORDS = {1: "add", 2: "change", 3: "delete"}


def record(action: str, *, actor: User | None = None, target: object = "", **detail: Any) -> None:
    """Write an entry; actor and address come from the request being answered unless given. Never a secret in `detail`."""
    request = request_being_answered.get()
    actor = actor or _asker(request)
    entry = AuditEntry(
        actor=actor if actor and actor.pk else None,
        actor_name=actor.username if actor else "",
        action=action,
        target=str(target)[:300],
        address=request.META.get("REMOTE_ADDR", "")[:64] if request is not None else "",
        detail=detail,
    )
    try:
        with transaction.atomic():
            entry.save()
    except DatabaseError:  # a full disk must not keep people from signing out
        logger.exception("The audit log could not be written: %s by %s.", action, entry.actor_name)


def _asker(request: Any) -> User | None:
    """The signed-in person of the request: the API's, else the page's."""
    user = getattr(request, "api_user", None) or getattr(request, "user", None)
    return User.objects.filter(pk=user.pk).first() if user is not None and user.is_authenticated else None


@receiver(user_logged_in)
def _signed_in(user: User, **kwargs: Any) -> None:
    record("sign-in", actor=user, target=user)


@receiver(user_logged_out)
def _signed_out(user: User | None, **kwargs: Any) -> None:
    if user is not None:
        record("sign-out", actor=user, target=user)


@receiver(user_login_failed)
def _sign_in_failed(credentials: dict[str, Any], **kwargs: Any) -> None:
    """Only names of accounts that exist: people type passwords into the wrong field."""
    name = str(credentials.get("username") or "")
    user = User.objects.filter(models.Q(username__iexact=name) | models.Q(email__iexact=name)).first() if name else None
    record("sign-in failed", target=user.username if user else "an unknown account")


@receiver(post_delete)
def _deleted(sender: type[models.Model], instance: models.Model, **kwargs: Any) -> None:
    if sender._meta.label_lower in DELETIONS:
        owner = getattr(instance, "owner", None) if sender is not User else None
        record(f"delete {sender._meta.verbose_name}", target=f"{instance} ({instance.pk})", owner=str(owner or ""))


@receiver(post_save, sender=LogEntry)
def _in_the_admin(instance: LogEntry, created: bool, **kwargs: Any) -> None:
    if created:
        kind = instance.content_type.name if instance.content_type else ""
        word = ADMIN_WORDS.get(instance.action_flag, "act on")
        record(
            f"admin: {word} {kind}"[:60],
            actor=User.objects.get(pk=instance.user_id),
            target=instance.object_repr,
            id=instance.object_id,
        )
