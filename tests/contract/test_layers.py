"""The architecture's rules about imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

HEAVY = ("torch", "transformers", "trl", "peft", "modal", "datasets", "accelerate")
PROBE = "import json, sys; {imports}; print(json.dumps(sorted(set(sys.modules) & set({watched!r}))))"


def loaded(imports: str, watched: tuple[str, ...]) -> list[str]:
    """Which of the watched modules a fresh interpreter has loaded after these imports."""
    command = [sys.executable, "-c", PROBE.format(imports=imports, watched=watched)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=settings.BASE_DIR)
    return json.loads(answer.stdout.splitlines()[-1])


def test_the_layers_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run([program, "--no-cache"], capture_output=True, text=True, cwd=settings.BASE_DIR)
    assert answer.returncode == 0, answer.stdout


def test_the_web_process_starts_without_the_training_stack() -> None:
    assert loaded("import finetune.asgi, finetune.urls", HEAVY) == []


def test_the_workers_start_without_the_training_stack() -> None:
    imports = "import django; from celery_worker import app; app.loader.import_default_modules()"
    assert loaded(imports, HEAVY) == []


@pytest.mark.parametrize(
    "module", ["training.engine.spec", "training.engine.run", "datasets_app.formats.readers", "datasets_app.formats.schemas"]
)
def test_the_engine_and_the_formats_run_without_django(module: str) -> None:
    assert loaded(f"import {module}", ("django", "celery", "finetune")) == []
