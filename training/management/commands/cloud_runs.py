"""manage.py cloud_runs [--user NAME] [--stop]"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.models import User
from training.services.list_cloud_runs import list_cloud_runs
from training.services.stop_cloud_run import stop_cloud_run


class Command(BaseCommand):
    help = "List what cloud providers hold of ours, by person; with --stop, remove what no job needs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", help="username; everybody by default")
        parser.add_argument("--stop", action="store_true", help="stop and remove what no job needs or could be resumed from")

    def handle(self, *args: Any, user: str | None, stop: bool, **options: Any) -> None:
        people = User.objects.filter(credentials__isnull=False).distinct().order_by("username")
        for person in people.filter(username__iexact=user) if user else people:
            found = list_cloud_runs(user=person)
            for run in found.runs:
                state = "needed" if run.needed else "kept for a resume" if run.kept else "orphan"
                cost = "" if run.cost is None else f", ${run.cost:.2f} so far"
                cost += f", {run.cost_note}" if run.cost_note else ""
                self.stdout.write(f"{person.username}: {run.executor} {run.held.what} {run.held.id} ({state}{cost})")
                if stop and not run.needed and not run.kept:
                    stop_cloud_run(user=person, executor=run.executor, held_id=run.held.id)
            for name, words in found.troubles.items():
                self.stderr.write(f"{person.username}: {name}: {words}")
