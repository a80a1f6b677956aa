"""The command line against the real product: from nothing to a file on this disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PASSWORD = "correct horse battery"


@pytest.fixture
def aift(stack: Stack, tmp_path: Path) -> Any:
    """`aift("jobs", "--json")`: the finished process of a command, signed in as somebody new."""
    name = f"shell-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    httpx.post(f"{stack.url}/api/auth/register", json=body).raise_for_status()
    environment = {**os.environ, "AIFT_CONFIG": str(tmp_path / "login.json")}

    def call(*words: object, text: str = "", code: int = 0) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "finetune", *map(str, words)]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=settings.BASE_DIR, env=environment, timeout=200
        )
        assert done.returncode == code, done.stderr
        return done

    call("login", "--url", stack.url, "--username", name, "--password-stdin", text=PASSWORD)
    return call


def test_from_an_upload_to_a_file(aift: Any, tmp_path: Path) -> None:
    model = json.loads(aift("sample", "--json").stdout)["model_id"]
    rows = tmp_path / "sums.jsonl"
    rows.write_text(
        "".join(json.dumps({"prompt": f"{a}+{b}=", "completion": f" {a + b}"}) + "\n" for a in range(6) for b in range(6))
    )
    dataset = json.loads(aift("upload", rows, "--json").stdout)
    assert (dataset["status"], dataset["rows"]) == ("ready", 36)

    trained = aift("train", model, "sums", "--set", "max_steps=6", "--name", "from the shell", "--watch")
    assert "succeeded" in trained.stdout
    said = trained.stderr.splitlines()  # which phases it sees is a matter of chance: the run is short
    assert len(said) > 1 and said[-1] == "succeeded …"
    (job,) = json.loads(aift("jobs", "--json", "--status", "succeeded").stdout)
    tuned = job["output_model_id"]

    answer = aift("test", tuned, "2+3=", "--max-tokens", 8, "--temperature", 0)
    assert (
        json.loads(aift("test", tuned, "-", "--max-tokens", 8, "--temperature", 0, "--json", text="2+3=").stdout)["text"].strip()
        == answer.stdout.strip()
    )

    target = Path(json.loads(aift("download", tuned, "--output", tmp_path, "--json").stdout)["file"])
    with tarfile.open(target) as archive:
        assert any(name.endswith("adapter_model.safetensors") for name in archive.getnames())
    assert "there is nothing to cancel" in aift("cancel", job["id"], code=1).stderr
