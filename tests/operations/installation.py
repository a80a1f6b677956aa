"""Installations of their own for backups: a DATA_DIR, a database, and programs that run in it as an operator would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

SETUP = "import django; django.setup()\n"
FILL = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
import os
from django.utils import timezone
from accounts.models import Credential, User
from finetune.core import crypto, storage
from tests.factories import make_base_model, make_dataset, make_event, make_job, make_version
alice = User.objects.create_user("alice", "alice@example.org", "a-long-enough-passphrase")
Credential.objects.create(owner=alice, kind="hf", ciphertext=crypto.encrypt("hf_kept_secret"), last4="cret", checked_at=timezone.now())
base, dataset = make_base_model(alice), make_dataset(alice)
job = make_job(alice, model=base, dataset=dataset, status="running", attempt=1, lease_owner="gone|1|2|x", lease_expires_at=timezone.now())
make_event(job, 1, split="train", step=1, values={"loss": 2.5})
run = storage.attempt_dir(job.pk, 1)
(run / "data").mkdir(parents=True)
os.link(dataset.rows_file, run / "data/train.parquet")
(run / "events.jsonl").write_text('{"kind": "metric"}\\n')
(run / "checkpoints/.staging-3").mkdir(parents=True)
(run / "checkpoints/.staging-3/half").write_text("half")
model = make_version(alice, base=base, origin="job-1")
storage.model_dir(model.pk).mkdir(parents=True)
(storage.model_dir(model.pk) / "adapter.safetensors").write_bytes(os.urandom(300_000))
"""
LOOK = """
import json
from django.apps import apps
from accounts.models import Credential
from finetune.core import crypto
rows = {}
for name in ("accounts.User", "accounts.Credential", "datasets_app.Dataset", "models_app.LanguageModel", "training.TrainingJob", "training.JobEvent"):
    rows[name] = [str(sorted(row.items())) for row in apps.get_model(name).objects.order_by("pk").values()]
print(json.dumps({"rows": rows, "token": [crypto.decrypt(row.ciphertext) for row in Credential.objects.all()]}))
"""


@dataclass
class Installation:
    """A DATA_DIR and, on PostgreSQL, a database of its own."""

    data_dir: Path
    database_url: str = ""
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        ours = {"DATA_DIR": str(self.data_dir), "DJANGO_SETTINGS_MODULE": "finetune.settings", "DATABASE_URL": self.database_url}
        return {**os.environ, **ours, **self.more}

    def python(self, code: str) -> str:
        return self._run("-c", SETUP + code).stdout

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("manage.py", *arguments, check=check)

    def _run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        answer = subprocess.run(command, env=self.environment, cwd=settings.BASE_DIR, capture_output=True, text=True)
        assert not check or answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    def look(self) -> dict:
        """Every row of the main tables, and the decrypted tokens."""
        return json.loads(self.python(LOOK).splitlines()[-1])

    def files(self) -> dict[str, bytes]:
        """Everything that counts, by path under DATA_DIR."""
        roots = [self.data_dir / name for name in ("datasets", "models", "runs", "blobs")]
        found = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.data_dir)): path.read_bytes() for path in found}
