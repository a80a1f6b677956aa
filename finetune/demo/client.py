"""The JSON API, as a script uses it."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import httpx

from finetune.demo.errors import DemoFailed

POLL_SECONDS = 1.0


class Client:
    """Signed in as somebody new, called `name` where that matters."""

    def __init__(self, url: str, name: str = "", password: str = ""):
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=180)
        name = name or f"demo-{secrets.token_hex(4)}"
        body = {"username": name, "email": f"{name}@example.org", "password": password or secrets.token_urlsafe(16)}
        self.token: str = self.call("POST", "/api/auth/register", json=body)["access"]
        self._http.headers["Authorization"] = f"Bearer {self.token}"

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The decoded answer; DemoFailed with the server's words when it refuses. Waits when it asks to slow down."""
        answer = self._http.request(method, path, **options)
        while answer.status_code == 429:
            time.sleep(int(answer.headers.get("Retry-After", "1")))
            answer = self._http.request(method, path, **options)
        if answer.is_error:
            raise DemoFailed(f"{method} {path} was answered with {answer.status_code}: {answer.text[:2000]}")
        return answer.json()

    def upload(self, file: Path) -> dict[str, Any]:
        """Upload a dataset and wait until it is read; DemoFailed with the first findings when it holds nothing usable."""
        with open(file, "rb") as content:
            dataset = self.call("POST", "/api/datasets/upload", files={"file": (file.name, content)})
        dataset = self.wait(f"/api/datasets/{dataset['id']}", {"ready", "invalid"}, seconds=300)
        if dataset["status"] == "invalid":
            found = self.call("GET", f"/api/datasets/{dataset['id']}/validation")["problems"][:5]
            raise DemoFailed("\n".join([f"{file.name} has no usable rows.", *[problem["message"] for problem in found]]))
        return dataset

    def wait(self, path: str, states: set[str], *, seconds: float) -> dict[str, Any]:
        """Poll an object until its status is one of `states`."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.call("GET", path)
            if found["status"] in states:
                return found
            if time.monotonic() > deadline:
                raise DemoFailed(f"{path} is still {found['status']} after {seconds:.0f} s.")
            time.sleep(POLL_SECONDS)
