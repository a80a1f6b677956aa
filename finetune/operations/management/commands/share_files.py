"""manage.py share_files"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from finetune.core.errors import DomainError
from finetune.operations.services.share_files import share_files


class Command(BaseCommand):
    help = "Put this machine's datasets, models, exports and checkpoints into the shared store (STORAGE_URL)."

    def handle(self, *args: Any, **options: Any) -> None:
        number = 0
        try:
            for path in share_files():
                number += 1
                self.stdout.write(str(path.relative_to(settings.DATA_DIR)))
        except DomainError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{number} were put into the shared store; what was there already was left.")
