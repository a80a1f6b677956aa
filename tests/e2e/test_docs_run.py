"""docs/api.md and docs/cli.md, run as they stand against the real product."""

from __future__ import annotations

import json
import os
import re
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from finetune.demo.client import Client
from tests.e2e.conftest import Stack
from tests.handbook import ROOT, Shell, blocks, lines
from tests.loopback_hub import LoopbackHub

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PASSWORD = "a long passphrase"  # as the pages say it


@dataclass(frozen=True)
class Reader:
    """Somebody new with the sample model, in a folder with the file that the pages upload."""

    name: str
    client: Client
    folder: Path
    model: int


@pytest.fixture
def reader(stack: Stack, tmp_path: Path) -> Reader:
    name = f"reader-{uuid.uuid4().hex[:8]}"
    client = Client(stack.url, name, PASSWORD)
    model = client.call("POST", "/api/training/sample")["model_id"]
    client.wait(f"/api/models/{model}", {"ready"}, seconds=200)
    (tmp_path / "examples.jsonl").write_bytes((ROOT / "docs/examples/messages.jsonl").read_bytes())
    return Reader(name, client, tmp_path, model)


def test_the_api_with_curl(stack: Stack, reader: Reader) -> None:
    ids = {"model_id": reader.model, "dataset_id": 0, "job": 0}
    with Shell(reader.folder, os.environ) as shell:
        for line in [line for body in blocks(ROOT / "docs/api.md") for line in lines(body)]:
            typed = line.replace("http://localhost:8000", stack.url).replace('"ada"', f'"{reader.name}"')
            typed = typed.replace(
                '"model_id": 1, "dataset_id": 1', f'"model_id": {ids["model_id"]}, "dataset_id": {ids["dataset_id"]}'
            )
            typed = typed.replace("/datasets/1", f"/datasets/{ids['dataset_id']}").replace(
                "/training/1/", f"/training/{ids['job']}/"
            )
            said = shell.type(typed)
            if "/datasets/upload" in line:
                ids["dataset_id"] = json.loads(said)["id"]
            elif "/datasets/1" in line:
                reader.client.wait(f"/api/datasets/{ids['dataset_id']}", {"ready"}, seconds=60)
            elif "by curl" in line:
                ids["job"] = json.loads(said)["id"]
    assert reader.client.call("GET", f"/api/training/{ids['job']}")["status"] in {"cancelling", "cancelled", "succeeded"}


def test_the_api_with_python(stack: Stack, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reader.folder)
    for code in blocks(ROOT / "docs/api.md", ("python",)):
        exec(compile(code, "docs/api.md", "exec"), {"url": stack.url, "token": reader.client.token})
    jobs = {job["name"]: job["status"] for job in reader.client.call("GET", "/api/training")["results"]}
    assert jobs["first"] == "succeeded"
    assert "my bot" in jobs


def test_the_command_line(stack: Stack, reader: Reader, loopback_hub: LoopbackHub) -> None:
    """From signing in to a file on this disk and a repository of the Hub; what the page calls 1 and 2 are the reader's models."""
    loopback_hub.add_token("hf_reader", "ada", "write", ())
    reader.client.call("POST", "/api/auth/hf-token", json={"token": "hf_reader"})
    environment = {**os.environ, "AIFT_CONFIG": str(reader.folder / "login.json")}
    tuned: Any = None
    with Shell(reader.folder, environment) as shell:
        for line in [line for body in blocks(ROOT / "docs/cli.md") for line in lines(body)]:
            typed = line.replace("http://127.0.0.1:8000", stack.url).replace(" train 1 ", f" train {reader.model} ")
            typed = re.sub(r"(test|chat|push|download) 2\b", rf"\1 {tuned}", typed)
            said = shell.type(
                typed, {"login": f"{reader.name}\n{PASSWORD}\n", "chat": "Hello\nAnd then?\n"}.get(line.split()[3], "")
            )
            if " train " in line:
                assert "succeeded …" in said and "Ask it: python -m finetune test" in said
                tuned = reader.client.call("GET", "/api/training")["results"][0]["output_model_id"]
            elif " chat " in line:
                assert said.count("> ") == 3, "asked twice, and once more until the end"
            elif " --json" in line:
                assert set(json.loads(said)) == {"model", "text"}
    assert "adapter_model.safetensors" in loopback_hub.repos["models", "ada/first-bot"].files
    (archive,) = [*reader.folder.glob("*.tar"), *reader.folder.glob("*.tar.gz")]
    with tarfile.open(archive) as opened:
        assert any(name.endswith("adapter_model.safetensors") for name in opened.getnames())
