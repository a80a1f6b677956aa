"""A Hugging Face Hub on the loopback interface, for the real huggingface_hub client: who a token is, what a repository holds, its files.

    with LoopbackHub() as hub:
        hub.add("datasets", "org/rows", {"data/train.jsonl": b"…"})
        settings.HF_ENDPOINT = hub.url

It speaks: whoami-v2; repository info and tree of models, datasets and spaces, with and without a revision; resolve with ETag, X-Repo-Commit
and Range, files of `lfs_from` bytes or more through a redirect to a content address, as the Hub does; search of models; writing
(loopback_writes.py). `hub.requests` is what was asked. Trouble is arranged with `hub.fail(status, …)`, `hub.cut_after`, `hub.damage`
and `hub.delay`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.loopback_writes import answer_post, answer_put

KINDS = ("models", "datasets", "spaces")
_API = re.compile(r"/api/(models|datasets|spaces)/([^/]+/[^/]+?)(?:/revision/([^/]+))?")
_TREE = re.compile(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?")
_CHECK = re.compile(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/auth-check")
_RESOLVE = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repo:
    """One repository: its files, the commit they are, other names of that commit, and who may read it."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=dict)
    branches: tuple[str, ...] = ("main",)
    private: bool = False
    gated: bool = False
    extra: dict[str, Any] = field(default_factory=dict)  # more keys of the info object
    history: list[str] = field(default_factory=list)  # summaries of the commits made here

    @property
    def commit(self) -> str:
        content = b"".join(path.encode() + body for path, body in sorted(self.files.items()))
        return hashlib.sha1(content).hexdigest()

    def knows(self, revision: str | None) -> bool:
        return revision is None or revision in self.branches or revision == self.commit


class LoopbackHub:
    """The server, for one `with` block."""

    handler: type[BaseHTTPRequestHandler]

    def __init__(self, *, lfs_from: int = 10_000):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []  # (method, path)
        self.authorizations: list[str | None] = []
        self.ranges: list[str] = []
        self.lfs_from = lfs_from
        self.cut_after: int | None = None  # close the connection after so many bytes of a file, once
        self.damage = False  # one byte of every large file is another
        self.delay = 0.0  # seconds before every answer
        self.pace = 0.0  # seconds after every 64 kB of a file
        self.large: dict[str, bytes] = {}  # what came over LFS, by SHA-256
        self.cards: list[str] = []  # cards whose YAML was to be checked
        self._failures: list[tuple[re.Pattern[str], int, dict[str, str], int]] = []
        self._server = _Server(("127.0.0.1", 0), type("Handler", (self.handler,), {"hub": self}))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, kind: str, repo_id: str, files: dict[str, bytes], **values: Any) -> Repo:
        """A repository of one of KINDS."""
        assert kind in KINDS
        self.repos[kind, repo_id] = Repo(files, **values)
        return self.repos[kind, repo_id]

    def add_token(self, token: str, name: str = "alice", role: str = "read", orgs: tuple[str, ...] = ()) -> None:
        access = {"displayName": "test", "role": role}
        self.tokens[token] = {
            "type": "user", "name": name, "fullname": name, "orgs": [{"name": org, "roleInOrg": "write"} for org in orgs],
            "auth": {"type": "access_token", "accessToken": access},
        }  # fmt: skip

    def fail(self, status: int, path: str = ".*", *, times: int = 1000, **headers: str) -> None:
        """Answer the next `times` requests whose path fits with this status; header names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._failures.append((re.compile(path), status, named, times))

    def take_failure(self, path: str) -> tuple[int, dict[str, str]] | None:
        for at, (pattern, status, headers, times) in enumerate(self._failures):
            if times and pattern.fullmatch(path):
                self._failures[at] = (pattern, status, headers, times - 1)
                return status, headers
        return None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._write(lambda path, body: answer_post(self.hub, path, body, self._token))

    def do_PUT(self) -> None:
        self._write(lambda path, body: answer_put(self.hub, path, body))

    def _write(self, act: Any) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        self.hub.requests.append((self.command, path))
        self.hub.authorizations.append(self.headers.get("Authorization"))
        if trouble := self.hub.take_failure(path):
            self._send(trouble[0], b'{"error": "arranged"}', trouble[1])
        else:
            status, value = act(path, body)
            self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.hub.requests.append((self.command, path))
        self.hub.authorizations.append(self.headers.get("Authorization"))
        time.sleep(self.hub.delay)
        if trouble := self.hub.take_failure(path):
            self._send(trouble[0], b'{"error": "arranged"}', trouble[1])
        elif path == "/api/whoami-v2":
            self._whoami()
        elif path == "/api/models":
            self._search(
                {name: values[0] for name, values in parse_qs(address.query).items()}, parse_qs(address.query).get("filter", [])
            )
        elif match := _CHECK.fullmatch(path):
            if self._found(*match.groups(), None, content=True):
                self._json({})
        elif match := _TREE.fullmatch(path):
            self._tree(*match.groups())
        elif match := _API.fullmatch(path):
            self._info(*match.groups(), query=parse_qs(address.query))
        elif match := _RESOLVE.fullmatch(path):
            self._resolve(match.group(1) or "models", *match.groups()[1:])
        elif path.startswith("/cdn/"):
            self._content(path.removeprefix("/cdn/"))
        else:
            self._send(404, b'{"error": "no such route"}')

    @property
    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _whoami(self) -> None:
        who = self.hub.tokens.get(self._token)
        if who is None:
            self._send(401, b'{"error": "Invalid credentials in Authorization header"}')
        else:
            self._json(who)

    def _found(self, kind: str, repo_id: str, revision: str | None, *, content: bool = False) -> Repo | None:
        """The repository if it may be read, else None with the refusal sent. A gated one's info is public, its content not."""
        repo = self.hub.repos.get((kind, repo_id))
        signed_in = self._token in self.hub.tokens
        if repo is None or (repo.private and not signed_in):
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif repo.gated and content and not signed_in:
            self._send(403, b'{"error": "gated"}', {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif not repo.knows(revision):
            self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            return repo
        return None

    def _info(self, kind: str, repo_id: str, revision: str | None, query: dict[str, list[str]]) -> None:
        if repo := self._found(kind, repo_id, revision):
            sized = query.get("blobs") == ["True"] or query.get("blobs") == ["true"]
            siblings = [self._sibling(path, body, sized) for path, body in sorted(repo.files.items())]
            self._json({**self._about(repo_id, repo), "siblings": siblings})

    def _about(self, repo_id: str, repo: Repo) -> dict[str, Any]:
        return {
            "_id": "1", "id": repo_id, "author": repo_id.split("/")[0], "sha": repo.commit, "private": repo.private,
            "gated": "auto" if repo.gated else False, "disabled": False, "downloads": 1, "likes": 1, "tags": [], "cardData": repo.card,
            "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z", **repo.extra,
        }  # fmt: skip

    def _search(self, query: dict[str, str], filters: list[str]) -> None:
        """The models that fit, best first; the next page is in the Link header."""
        models = [(name, repo) for (kind, name), repo in self.hub.repos.items() if kind == "models"]
        models = [(name, repo) for name, repo in models if not repo.private or self._token in self.hub.tokens]
        found = [
            (name, repo) for name, repo in models
            if query.get("search", "").lower() in name.lower()
            and query.get("author", "") in ("", name.split("/")[0])
            and query.get("pipeline_tag", "") in ("", repo.extra.get("pipeline_tag"))
            and set(filters) <= {*repo.extra.get("tags", []), repo.extra.get("library_name")}
            and _sized(query.get("num_parameters", ""), repo)
        ]  # fmt: skip
        sort = query.get("sort", "downloads")
        found.sort(key=lambda item: item[1].extra.get(sort, 0), reverse=True)
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 1000))
        rows = [self._about(name, repo) for name, repo in found[start : start + limit]]
        following = urlencode({**query, "cursor": start + limit})
        link = {"Link": f'<{self.hub.url}/api/models?{following}>; rel="next"'} if start + limit < len(found) else {}
        self._send(200, json.dumps(rows).encode(), {"Content-Type": "application/json", **link})

    def _sibling(self, path: str, body: bytes, sized: bool) -> dict[str, Any]:
        facts: dict[str, Any] = {"size": len(body), "blobId": hashlib.sha1(body).hexdigest()} if sized else {}
        if sized and len(body) >= self.hub.lfs_from:
            facts["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}
        return {"rfilename": path, **facts}

    def _tree(self, kind: str, repo_id: str, revision: str, below: str | None) -> None:
        if repo := self._found(kind, repo_id, revision):
            inside = {path: body for path, body in repo.files.items() if not below or path.startswith(below.rstrip("/") + "/")}
            self._json([
                {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(body).hexdigest()} for path, body in sorted(inside.items())
            ])  # fmt: skip

    def _resolve(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        repo = self._found(kind, repo_id, revision, content=True)
        if repo is None:
            return
        if path not in repo.files:
            self._send(404, b'{"error": "Entry not found"}', {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
            return
        body = repo.files[path]
        common = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if len(body) < self.hub.lfs_from:
            self._file(body, common | {"ETag": f'"{hashlib.sha1(body).hexdigest()}"'})
            return
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(body)),
            "Location": self.hub.url.replace("127.0.0.1", "localhost") + f"/cdn/{digest}",
        }
        self._send(302, b"", common | headers)

    def _content(self, digest: str) -> None:
        for repo in self.hub.repos.values():
            for body in repo.files.values():
                if len(body) >= self.hub.lfs_from and hashlib.sha256(body).hexdigest() == digest:
                    body = bytes([body[0] ^ 1]) + body[1:] if self.hub.damage else body
                    self._file(body, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})
                    return
        self._send(404, b"")

    def _file(self, body: bytes, headers: dict[str, str]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, body, headers)
            return
        self.hub.ranges.append(wanted.group())
        start, stop = int(wanted.group(1)), int(wanted.group(2) or len(body) - 1)
        if start >= len(body):
            self._send(416, b"", headers | {"Content-Range": f"bytes */{len(body)}"})
        else:
            self._send(206, body[start : stop + 1], headers | {"Content-Range": f"bytes {start}-{stop}/{len(body)}"})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after
        if cut is not None and len(body) > cut and status in (200, 206):
            self.hub.cut_after = None
            self.wfile.write(body[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        elif self.hub.pace:
            for start in range(0, len(body), 65536):
                self.wfile.write(body[start : start + 65536])
                time.sleep(self.hub.pace)
        else:
            self.wfile.write(body)


def _sized(wanted: str, repo: Repo) -> bool:
    """Whether `min:500M,max:2B` fits."""
    bounds = {part[:3]: float(part[4:-1]) * {"K": 1e3, "M": 1e6, "B": 1e9}[part[-1]] for part in wanted.split(",") if part}
    total = (repo.extra.get("safetensors") or {}).get("total", 0)
    return not wanted or bounds.get("min", 0) <= total <= bounds.get("max", float("inf"))


LoopbackHub.handler = _Handler
