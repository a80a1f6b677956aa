"""The web process of a machine without the training stack: it starts, and every page answers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import connection

SERVE = """
import sys

class Missing:
    '''The other finders, blind for what the web image does not hold.'''

    STACK = {line.partition("=")[0] for line in open("training/engine/requirements.txt") if line[0].isalpha()}
    SHARED = {line.partition("=")[0] for line in open("requirements.txt") if line[0].isalpha()}

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.STACK - self.SHARED else self.finder.find_spec(name, path, target)

assert {"torch", "transformers", "peft", "trl", "datasets", "tokenizers"} <= Missing.STACK - Missing.SHARED
sys.meta_path[:] = map(Missing, sys.meta_path)

import django
django.setup()
from django.core.management import call_command
call_command("check")
if "--migrate" in sys.argv:
    call_command("migrate", verbosity=0)
import finetune.asgi
from accounts.models import User
from tests.conftest import _page
from tests.contract.test_private_by_default import filled, routes
from tests.factories import make_base_model, make_dataset, make_job, make_version

user = User.objects.create_superuser("web", "web@example.org")
base, dataset = make_base_model(user), make_dataset(user)
things = {"datasets": dataset.pk, "models": make_version(user, base=base).pk, "training": make_job(user, model=base, dataset=dataset).pk}
client = _page(user)
client.raise_request_exception = False
bad, answered = [], 0
for route in sorted(set(routes())):
    word = next((word for word in things if f"{word}/" in route), "")
    if "<" in route and (not word or route.count("<") > 1):
        continue
    path = filled(route, things.get(word, 0))
    answer = client.get(path)
    answered += answer.status_code == 200
    # 503 with words: what a worker or an outside system has to say is not to be had here.
    if answer.status_code >= 500 and answer.status_code != 503:
        bad.append((path, answer.status_code))
assert not bad, bad
assert not {name.partition(".")[0] for name in sys.modules} & {"torch", "transformers", "peft", "trl", "datasets"}
print(answered, "pages")
"""


def test_every_page_answers_without_the_training_stack(db: None, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "REDIS_URL": settings.REDIS_URL,
        "HF_HUB_OFFLINE": "1",
        "LOG_LEVEL": "ERROR",
    }
    sqlite = connection.vendor == "sqlite"
    if sqlite:  # its tables are made already
        with (
            closing(sqlite3.connect(connection.settings_dict["NAME"])) as made,
            closing(sqlite3.connect(tmp_path / "db.sqlite3")) as own,
        ):
            made.backup(own)
    command = [sys.executable, "-W", "ignore", "-c", SERVE, *([] if sqlite else ["--migrate"])]
    answer = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr[-3000:]
    assert int(answer.stdout.split()[-2]) > 60, answer.stdout
