"""A Sandbox of the loopback Modal, what lies on its volumes, and the blocks that files are sent in."""

from __future__ import annotations

import hashlib
import subprocess
import time
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modal_proto import api_pb2 as pb

if TYPE_CHECKING:
    from tests.loopback_modal import LoopbackModal


class Box:
    """One Sandbox and the process that is its container."""

    def __init__(self, definition: pb.Sandbox, tags: dict[str, str], folder: Path):
        self.id, self.definition, self.tags, self.folder = f"sb-{uuid.uuid4().hex[:22]}", definition, tags, folder
        self.created = time.time()
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self.status: int = 0  # of pb.GenericResult
        self.code = 0

    @property
    def result(self) -> pb.GenericResult:
        return pb.GenericResult(status=self.status, exitcode=self.code)  # type: ignore[arg-type]


def lay_out(files: dict[str, bytes], folder: Path, only: tuple[str, ...] = ()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in list(files.items()):
        if only and name not in only:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.staged")
        staged.write_bytes(body)
        staged.replace(path)


class Blocks(BaseHTTPRequestHandler):
    """The contents of files, in blocks named by their hash."""

    protocol_version = "HTTP/1.1"
    owner: LoopbackModal

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.blocks[hashlib.sha256(body).hexdigest()] = body
        self._send(b"stored")

    def do_GET(self) -> None:
        self._send(self.owner.blocks[self.path.strip("/")])

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
