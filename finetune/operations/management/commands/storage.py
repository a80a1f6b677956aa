from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import User
from finetune.core.templatetags.ui import size
from finetune.operations.services.measure_storage import measure_storage


class Command(BaseCommand):
    help = "How much of the disk each person's datasets, models and runs take, the largest first."

    def handle(self, *args: Any, **options: Any) -> None:
        names = dict(User.objects.values_list("pk", "username"))
        used = sorted(measure_storage().items(), key=lambda item: -item[1]["total"])
        for owner, kinds in used:
            parts = ", ".join(f"{kind} {size(number)}" for kind, number in kinds.items() if kind != "total")
            self.stdout.write(f"{size(kinds['total']):>10}  {names.get(owner, owner)}  ({parts})")
        self.stdout.write(f"{size(sum(kinds['total'] for _, kinds in used)):>10}  all together")
