"""A Docker Space: a small web server that answers before anything is trained, the run in a thread beside it.

    GET  /         {phase, exit_code, incarnation, alive_at, error}: also the Hub's question whether the Space lives
    GET  /events   ?offset=N&incarnation=I → bytes of events.jsonl from N on (from 0 when I is another container); X-Incarnation, X-Offset
    GET  /log      ?offset=N → bytes of the engine's log
    POST /cancel   stop after the current step
    POST /collected  everything was fetched: pause now

Only the Hub's proxy lets requests through to a private Space, and only with its owner's token; besides, every request but
the first must carry the run's own key in X-Run-Key. When the run has ended and nobody came for LINGER seconds, it pauses itself:
a Space bills until it is paused.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .runner import Runner
from .stores import hub_store
from .voices import Silent

PORT = 7860
LINGER_SECONDS = 120.0


class State:
    """The run and what the platform said about it."""

    def __init__(self, runner: Runner, key: str):
        self.runner, self.key = runner, key
        self.cancelled, self.collected = threading.Event(), threading.Event()
        self.error = ""

    def train(self) -> None:
        """Run to the end; what went wrong outside the engine is told in `error`."""
        try:
            self.runner.run()
        except Exception as error:  # noqa: BLE001 - a Space must answer whatever happens
            traceback.print_exc()
            self.error = f"{type(error).__name__} while {self.runner.phase}"

    def told(self) -> dict[str, Any]:
        runner = self.runner
        return {
            "phase": runner.phase, "exit_code": runner.exit_code, "incarnation": runner.incarnation, "alive_at": time.time(),
            "error": self.error,
        }  # fmt: skip


def run_space() -> int:
    """Serve until the Space is paused; AIFT_RUN_REPO, HF_TOKEN and AIFT_RUN_KEY say which run and who may ask."""
    token = os.environ["HF_TOKEN"]
    path = Path(os.environ.get("AIFT_WORK", "/tmp")) / f"aift-{uuid.uuid4().hex[:8]}"  # noqa: S108 - a container's own
    path.parent.mkdir(parents=True, exist_ok=True)
    store = hub_store(token)
    runner = Runner(path, store, lambda run, incarnation: Silent(), token=token)
    state = State(runner, os.environ["AIFT_RUN_KEY"])
    runner.wants_stop = state.cancelled.is_set
    port = int(os.environ.get("PORT", PORT))
    server = ThreadingHTTPServer(("0.0.0.0", port), type("Asked", (_Handler,), {"state": state}))  # noqa: S104 - the proxy asks from outside
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.train()
    state.collected.wait(float(os.environ.get("AIFT_LINGER", LINGER_SECONDS)))
    _pause(token)
    while True:  # a Space that ends is an error: wait for the pause
        time.sleep(60)


def _pause(token: str) -> None:
    space = os.environ.get("SPACE_ID")
    try:
        if space:
            from huggingface_hub import HfApi

            HfApi(token=token).pause_space(space)
    except Exception as error:  # noqa: BLE001 - the platform pauses it too
        print(f"Could not pause: {type(error).__name__}", flush=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/":
            self._send(200, json.dumps(self.state.told()).encode())
        elif not self._may():
            self._send(403, b"{}")
        elif address.path == "/events":
            same = query.get("incarnation") == self.state.runner.incarnation
            self._file("events.jsonl", int(query.get("offset") or 0) if same else 0)
        elif address.path == "/log":
            self._file("engine.log", int(query.get("offset") or 0))
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        wish = {"/cancel": self.state.cancelled, "/collected": self.state.collected}.get(urlsplit(self.path).path)
        if not self._may():
            self._send(403, b"{}")
        elif wish is None:
            self._send(404, b"{}")
        else:
            wish.set()
            self._send(200, b"{}")

    def _may(self) -> bool:
        return hmac.compare_digest(self.headers.get("X-Run-Key") or "", self.state.key)

    def _file(self, name: str, offset: int) -> None:
        path = self.state.runner.path / name
        body = b""
        if path.exists():
            with open(path, "rb") as file:
                file.seek(offset)
                body = file.read(1 << 20)
        self._send(200, body, {"X-Incarnation": self.state.runner.incarnation, "X-Offset": str(offset)})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
