"""manage.py create_sample --user NAME"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from models_app.models import LanguageModel
from training.services.create_sample import create_sample, make_sample


class Command(BaseCommand):
    help = (
        "Make the sample base model and the sample dataset for a user, here and now; a running general worker checks the dataset."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="username")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        owner = User.objects.filter(username__iexact=user).first()
        if owner is None:
            raise CommandError(f"There is no user {user!r}.")
        sample = create_sample(owner=owner)
        make_sample(sample.model.pk)
        sample.model.refresh_from_db()
        if sample.model.status != LanguageModel.Status.READY:
            raise CommandError("The sample model is still being made by a worker, or failed there: see the models page.")
        self.stdout.write(f"Model {sample.model.pk} is ready; dataset {sample.dataset.pk} is {sample.dataset.status}.")
