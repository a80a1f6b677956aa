from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from finetune.core.errors import DomainError
from finetune.operations.services.restore_backup import restore_backup


class Command(BaseCommand):
    help = "Put the installation back as a backup has it. Everything is verified before anything changes."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="an archive that `manage.py backup` made")
        parser.add_argument("--replace", action="store_true", help="although this installation is not empty; what it has is lost")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            restored = restore_backup(source=options["source"], replace=options["replace"])
        except (DomainError, DatabaseError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Restored {restored.files} files of the backup of {restored.made_at}.")
        for note in restored.notes:
            self.stdout.write(note)
