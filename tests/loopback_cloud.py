"""The loopback Hub with Jobs and Spaces that really run: see loopback_jobs.py and loopback_spaces.py."""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback_hub import LoopbackHub, _Handler
from tests.loopback_jobs import Jobs, _time
from tests.loopback_spaces import Spaces
from tests.loopback_writes import _commit, _mode

_SPACE_PREUPLOAD = re.compile(r"/api/spaces/([^/]+/[^/]+)/preupload/([^/]+)")
_BUCKET = re.compile(r"/api/buckets/([^/]+/[^/]+)")
NOW = "2026-01-01T00:00:00.000Z"
_SPACE_COMMIT = re.compile(r"/api/spaces/([^/]+/[^/]+)/commit/([^/]+)")


class _Cloud(_Handler):
    hub: CloudHub  # type: ignore[assignment]

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        if self._log(path) or self._metrics(path):
            return
        told = self.hub.jobs.answer("GET", path, parse_qs(address.query), b"", self._token)
        told = told or self.hub.spaces.answer("GET", path, b"", self._token)
        if told is None and path.startswith("/api/buckets/"):
            told = self.hub.tell_buckets(path)
        if told is None and path in ("/api/spaces", "/api/datasets"):
            told = 200, self._list(path.rpartition("/")[2], parse_qs(address.query))
        if told is None:
            super().do_GET()
        else:
            self._told(path, told)

    def do_POST(self) -> None:
        self._write(self._post)

    def do_DELETE(self) -> None:
        self._write(self._delete)

    def _post(self, path: str, body: bytes) -> tuple[int, Any]:
        from tests.loopback_writes import answer_post

        told = self.hub.jobs.answer("POST", path, {}, body, self._token) or self.hub.spaces.answer("POST", path, body, self._token)
        if told is not None:
            return told
        if self._token not in self.hub.tokens and path != "/api/validate-yaml":
            return 401, {"error": "Invalid credentials in Authorization header"}
        if match := _SPACE_PREUPLOAD.fullmatch(path):
            return 200, {"files": [_mode(self.hub, file) for file in json.loads(body)["files"]]}
        if match := _SPACE_COMMIT.fullmatch(path):
            answer = _commit(self.hub, "spaces", match[1], body)
            self.hub.spaces.committed(match[1])
            return answer
        if match := _BUCKET.fullmatch(path):
            return self.hub.create_bucket(match[1])
        answer = answer_post(self.hub, path, body, self._token)
        wanted = json.loads(body) if path == "/api/repos/create" else {}
        if wanted.get("type") == "space" and answer[0] == 200:
            self.hub.spaces.created(answer[1]["name"], wanted)
        return answer

    def _delete(self, path: str, body: bytes) -> tuple[int, Any]:
        if match := _BUCKET.fullmatch(path):
            return self.hub.delete_bucket(match[1])
        wanted = json.loads(body)
        if self._token not in self.hub.tokens:
            return 401, {"error": "Invalid credentials in Authorization header"}
        repo_id = f"{wanted.get('organization') or self.hub.tokens[self._token]['name']}/{wanted['name']}"
        kind = f"{wanted.get('type', 'model')}s"
        if self.hub.repos.pop((kind, repo_id), None) is None:
            return 404, {"error": "Repository not found"}
        if kind == "spaces":
            self.hub.spaces.deleted(repo_id)
        return 200, {}

    def _about(self, repo_id: str, repo: Any) -> dict[str, Any]:
        about = super()._about(repo_id, repo)
        space = self.hub.spaces.all.get(repo_id)
        return about | (
            {"host": f"http://127.0.0.1:{space.port}", "subdomain": "x", "createdAt": _time(space.created)} if space else {}
        )

    def _list(self, kind: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        author, search = query.get("author", [""])[0], query.get("search", [""])[0]
        named = [name for held, name in self.hub.repos if held == kind and name.startswith(f"{author}/") and search in name]
        return [self._about(name, self.hub.repos[kind, name]) for name in named]

    def _told(self, path: str, told: tuple[int, Any]) -> None:
        self.hub.requests.append((self.command, path))
        self.hub.authorizations.append(self.headers.get("Authorization"))
        status, value = trouble_or(self.hub.take_failure(path), told)
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _log(self, path: str) -> bool:
        """A log as server-sent events: a Job's until it is over, a Space's as it is now."""
        job, lines = self.hub.jobs.find(path), self.hub.spaces.log(path)
        if job is None and lines is None:
            return False
        self._begin_stream(path)
        sent = 0
        while True:
            over = job is None or job.over
            for line in (job.lines if job else lines or [])[sent:]:
                sent += 1
                self.wfile.write(f"data: {json.dumps({'data': line, 'timestamp': '2026-01-01T00:00:00Z'})}\n\n".encode())
                if job and self.hub.jobs.lose_log_after == sent:
                    self.hub.jobs.lose_log_after = None
                    return True
            self.wfile.flush()
            if over:
                return True
            time.sleep(0.05)

    def _metrics(self, path: str) -> bool:
        """A Job's metrics as server-sent events; they end with it, and a Job that is over has none."""
        job = self.hub.jobs.find(path, "metrics")
        if job is None:
            return False
        if trouble := self.hub.take_failure(path):
            self._send(trouble[0], b"{}", {})
            return True
        if job.over:
            self._send(406, b"{}", {})
            return True
        self._begin_stream(path)
        samples = list(self.hub.jobs.metrics)
        while not job.over:
            told = samples.pop(0) if len(samples) > 1 else samples[0]
            self.wfile.write(f"event: metric\ndata: {json.dumps(told)}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.05)
        return True

    def _begin_stream(self, path: str) -> None:
        self.hub.requests.append((self.command, path))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True


def trouble_or(trouble: tuple[int, dict[str, str]] | None, told: tuple[int, Any]) -> tuple[int, Any]:
    return (trouble[0], {"error": "arranged"}) if trouble else told


class CloudHub(LoopbackHub):
    """`jobs` and `spaces` are what runs. `no_credit` makes everything that costs money a 402, `no_buckets` refuses them;
    a bucket is a directory, and every container that mounts it sees that one."""

    handler = _Cloud

    def __init__(self, **values: Any):
        super().__init__(**values)
        self.no_credit = self.no_buckets = False
        self.buckets: dict[str, Path] = {}
        self._held = tempfile.TemporaryDirectory(prefix="aift-loopback-buckets-", ignore_cleanup_errors=True)
        self.jobs, self.spaces = Jobs(self), Spaces(self)

    def create_bucket(self, name: str) -> tuple[int, Any]:
        if self.no_buckets:
            return 403, {"error": "This token may not create buckets."}
        if name in self.buckets:
            return 409, {"error": "exists", "url": f"{self.url}/buckets/{name}"}
        self.buckets[name] = Path(tempfile.mkdtemp(dir=self._held.name))
        return 200, {"url": f"{self.url}/buckets/{name}"}

    def tell_buckets(self, path: str) -> tuple[int, Any]:
        """One of them, or all."""
        told = {
            name: {"id": name, "private": True, "visibility": "private", "createdAt": NOW, "size": 0, "totalFiles": 0}
            for name in self.buckets
        }
        if match := _BUCKET.fullmatch(path):
            return (200, told[match[1]]) if match[1] in told else (404, {"error": "Bucket not found"})
        return 200, list(told.values())

    def delete_bucket(self, name: str) -> tuple[int, Any]:
        if self.buckets.pop(name, None) is None:
            return 404, {"error": "Bucket not found"}
        return 200, {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.jobs.stop()
        self.spaces.stop()
        self._held.cleanup()
        super().__exit__(kind, error, trace)
