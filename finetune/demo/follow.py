"""A job from its WebSocket: every event once and in order, whatever the connection does."""

from __future__ import annotations

import json
import time
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from finetune.demo.client import Client
from finetune.demo.errors import DemoFailed
from finetune.demo.screen import Progress

FINISHED = {"succeeded", "failed", "cancelled"}
SILENCE_SECONDS = 120  # a job that says nothing for so long has a problem


class Follower:
    """Reads /ws/training/<job>, coming back with `?after=` when the connection drops. `events` grows as they come."""

    def __init__(self, client: Client, job: int, progress: Progress):
        self._client = client
        self._job = job
        self._progress = progress
        self.events: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {}
        self._last_news = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Follow until the job has ended and every event is here; the job's last status."""
        while not self._complete():
            try:
                url = f"{self._client.url.replace('http', 'ws', 1)}/ws/training/{self._job}?after={self._cursor}"
                with connect(url, subprotocols=["bearer", self._client.token], proxy=None) as socket:  # type: ignore[list-item]
                    self._read(socket)
            except (OSError, WebSocketException):
                time.sleep(1)
            self._check_silence()
        return self.status

    @property
    def _cursor(self) -> int:
        return self.events[-1]["seq"] if self.events else 0

    def _complete(self) -> bool:
        return self.status.get("status") in FINISHED and self._cursor >= self.status["last_seq"]

    def _read(self, socket: ClientConnection) -> None:
        while not self._complete():
            try:
                message = json.loads(socket.recv(timeout=5))
            except TimeoutError:
                self._check_silence()
                continue
            self._last_news = time.monotonic()
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "events":
            expected = list(range(self._cursor + 1, self._cursor + 1 + len(message["events"])))
            if [event["seq"] for event in message["events"]] != expected:
                raise DemoFailed("The socket sent events out of order or twice.")
            self.events += message["events"]
        elif message["type"] in {"hello", "status"}:
            self.status = message["job"]
        self._progress.show(self.status, self.events)

    def _check_silence(self) -> None:
        if time.monotonic() - self._last_news > SILENCE_SECONDS:
            raise DemoFailed(f"The job said nothing for {SILENCE_SECONDS} s.")
