from typing import Any

from django.core.management.base import BaseCommand, CommandError

from finetune.operations.services.rotate_keys import rotate_keys


class Command(BaseCommand):
    help = "Encrypt every stored secret with the newest of FIELD_ENCRYPTION_KEYS. May be interrupted and run again."

    def handle(self, *args: Any, **options: Any) -> None:
        done = rotate_keys()
        self.stdout.write(f"{done.rotated} encrypted anew, {done.current} already had the newest key.")
        if done.unreadable:
            raise CommandError("No key opens these; their owners must enter them again: " + "; ".join(done.unreadable))
