"""A person leaves, and everything of theirs goes with them."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import DataArchive, User
from accounts.services.end_sign_ins import end_sign_ins
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from finetune.core.errors import Conflict, DomainError, invalid_field
from finetune.operations.services.export_data import forget_archive
from models_app.models import LanguageModel
from models_app.services.cancel_download import cancel_download
from models_app.services.delete_model import delete_model
from training.models import TrainingJob
from training.services.cancel_job import cancel_job
from training.services.delete_job import delete_job

logger = logging.getLogger(__name__)


def delete_account(*, user: User, password: str) -> None:
    """The account opens nothing from now on; a worker stops its jobs and removes jobs, models, datasets with their files, and the
    account itself, within about a minute after the last job has stopped.

    Refuses (Invalid) a wrong password; Conflict for the only operator of an installation that has other people.
    """
    if not user.check_password(password):
        raise invalid_field("password", "This is not your current password.", code="wrong_password")
    others = User.objects.exclude(pk=user.pk).filter(is_active=True)
    if user.is_staff and others.exists() and not others.filter(is_staff=True).exists():
        raise Conflict("You are the only operator here. Make somebody else one first (Admin → Users).", code="only_operator")
    with transaction.atomic():
        user.is_active, user.deletion_asked_at = False, timezone.now()
        user.save(update_fields=["is_active", "deletion_asked_at"])
        user.api_keys.all().delete()
        user.credentials.all().delete()
        end_sign_ins(user=user, everything=True)
        remove_accounts.delay_on_commit()
    audit.record("ask for deletion of the account", actor=user, target=user)


@shared_task
def remove_accounts() -> None:
    """Remove what is idle of everybody who asked for it; beat comes again until nothing is left."""
    for user in User.objects.filter(deletion_asked_at__isnull=False):
        _remove(user)


def _remove(user: User) -> None:
    jobs = TrainingJob.objects.for_user(user)
    for job in jobs:
        _try(cancel_job, job=job) if job.is_active else _try(delete_job, job=job)
    if jobs.all().exists():
        return  # an engine is still stopping
    for model in LanguageModel.objects.for_user(user).order_by("-pk"):  # versions come after what they are built on
        if model.status == LanguageModel.Status.DOWNLOADING and model.source == LanguageModel.Source.HUB:
            _try(cancel_download, model=model)
        _try(delete_model, model=LanguageModel.objects.get(pk=model.pk))
    for dataset in Dataset.objects.for_user(user).order_by("-pk"):
        _try(delete_dataset, dataset=dataset)
    if not (LanguageModel.objects.for_user(user).exists() or Dataset.objects.for_user(user).exists()):
        for archive in DataArchive.objects.for_user(user):
            forget_archive(archive)
        user.delete()


def _try(verb: Any, **what: Any) -> None:
    """What is busy now is removed the next time."""
    try:
        verb(**what)
    except (DomainError, LanguageModel.DoesNotExist) as refusal:
        logger.info("Not removed yet: %s", refusal)
