from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from finetune.core.templatetags.ui import size
from finetune.operations.services.prune_files import prune_files


class Command(BaseCommand):
    help = "Remove what RETAIN_CHECKPOINT_DAYS, RETAIN_LOG_DAYS and RETAIN_FAILED_RUN_DAYS let go, and debris older than a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only list what would go, with its bytes")

    def handle(self, *args: Any, **options: Any) -> None:
        found = prune_files(dry_run=options["dry_run"])
        for item in found:
            self.stdout.write(f"{item.bytes:>15,}  {item.rule:<16} {item.path.relative_to(settings.DATA_DIR)}")
        verb = "Would remove" if options["dry_run"] else "Removed"
        self.stdout.write(f"{verb} {len(found)}, freeing {size(sum(item.bytes for item in found))}.")
