"""A Hub on the loopback that knows one token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

GOOD_TOKEN = "hf_good0token0of0alice"


class LoopbackHub(ThreadingHTTPServer):
    """Answers whoami for the tokens in `known`, 401 for others, `failing` for all when it is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.known = {GOOD_TOKEN: "alice-on-the-hub"}
        self.failing = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHub

    def do_GET(self) -> None:
        name = self.server.known.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        status = self.server.failing or (200 if name else 401)
        identity = {"name": name, "orgs": [{"name": "wonderland"}], "auth": {"accessToken": {"role": "read"}}}
        body = json.dumps(identity if status == 200 else {"error": "Invalid credentials in Authorization header"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub_server(settings) -> Iterator[LoopbackHub]:
    server = LoopbackHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    settings.HF_ENDPOINT = server.url
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
