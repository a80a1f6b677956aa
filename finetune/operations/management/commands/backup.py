from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from finetune.core.errors import DomainError
from finetune.core.templatetags.ui import size
from finetune.operations.services.back_up import back_up


class Command(BaseCommand):
    help = "Write database, datasets, models and runs into one archive. The installation may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", type=Path, help="a directory, or a file that ends in .tar.gz or .tar.zst")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backup = back_up(target=options["target"])
        except (DomainError, DatabaseError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{backup.path}: {backup.files} files, {size(backup.bytes)}, packed {size(backup.path.stat().st_size)}.")
        for note in backup.notes:
            self.stdout.write(note)
