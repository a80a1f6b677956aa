import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from finetune.operations.findings import BAD, OK
from finetune.operations.services.examine_installation import examine_installation

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


class Command(BaseCommand):
    help = "Look whether everything this installation rests on is as it should be. Exit code 1 when something is bad."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help='{"level", "findings": [{check, level, text, remedy}]}')

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine_installation()
        levels = {item.level for item in found}
        worst = next(level for level in ("bad", "warn", "ok") if level in levels)
        if options["json"]:
            self.stdout.write(json.dumps({"level": worst, "findings": [asdict(item) for item in found]}, indent=1))
        else:
            for item in found:
                self.stdout.write(f"{MARKS[item.level]} {item.check:<9} {item.text}")
                if item.level != OK and item.remedy:
                    self.stdout.write(f"            → {item.remedy}")
        if worst == BAD:
            sys.exit(1)
