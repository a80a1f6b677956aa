"""Every variable that is read is documented, and nonsense in one stops the start with its name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT: Path = settings.BASE_DIR
READERS = re.compile(r'env_(?:str|bool|int|list|rate|choice)\(\s*"([A-Z_]+)"')


def test_every_variable_is_in_the_example_file() -> None:
    read = set(READERS.findall((ROOT / "finetune/settings.py").read_text()))
    documented = set(re.findall(r"^#?\s?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read <= documented, read - documented


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("PORT", "many"),
        ("DATABASE_URL", "mysql://x/y"),
        ("THROTTLE_LOGIN", "often"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("LOG_FORMAT", "xml"),
        ("RETAIN_LOG_DAYS", "-1"),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "finetune.settings", name: value}
    command = [sys.executable, "-c", "import django; django.setup()"]
    answer = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode != 0
    assert name in answer.stderr.splitlines()[-1]


def test_each_installation_makes_its_own_secrets(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        environment = {**os.environ, "DATA_DIR": str(tmp_path / name), "DJANGO_SETTINGS_MODULE": "finetune.settings"}
        environment.pop("SECRET_KEY", None)
        command = [sys.executable, "-c", "from django.conf import settings; print(settings.SECRET_KEY)"]
        for _ in range(2):
            keys.add(subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        assert (tmp_path / name / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(keys) == 2
