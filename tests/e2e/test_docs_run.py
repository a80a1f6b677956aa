"""The Python of docs/api.md, run as it stands against the real product."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
DOCS: Path = settings.BASE_DIR / "docs"


def test_the_handbooks_python_runs(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    name = f"reader-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
    token = httpx.post(f"{stack.url}/api/auth/register", json=body).json()["access"]
    client = httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    made = client.post("/api/training/sample").json()
    while client.get(f"/api/models/{made['model_id']}").json()["status"] != "ready":
        pass
    (tmp_path / "examples.jsonl").write_bytes((DOCS / "examples/messages.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"^```python\n(.*?)^```", (DOCS / "api.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(code, "docs/api.md", "exec"), {"url": stack.url, "token": token})
    jobs = client.get("/api/training").json()["results"]
    assert {job["name"]: job["status"] for job in jobs}["first"] == "succeeded"
    assert "my bot" in {job["name"] for job in jobs}
