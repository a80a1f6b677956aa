"""/ws/training/{job_id}?after=N: everything that happened after N, then live; in order, nothing missing, nothing twice.

The rows are the truth. A ring from the channel layer may bring the newest events along; they are sent as they are only when
they follow directly on what was sent last, else the rows are read. The socket also looks by itself, so a lost ring
costs a second. One lock orders everything that is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from training import rooms
from training.event_feed import Feed, events_after
from training.event_log import group_name
from training.models import TrainingJob
from training.shared_status import seen_since

logger = logging.getLogger(__name__)

BATCH = 500
LOOK_SECONDS = 1.5  # between looks without a ring while the job may still move
IDLE_LOOK_SECONDS = 10.0  # … and once it has ended
MOST_SENDING = 8  # rings that wait for one client to take the ones before
STATUS_SECONDS = 0.25  # API.md: at most four status messages a second
ANONYMOUS, NOT_YOURS = 4401, 4404


class JobConsumer(AsyncWebsocketConsumer):
    """One watcher of one job."""

    channel_layer_alias = ""  # no channel of its own: it is told by the job's room

    async def connect(self) -> None:
        await self.accept()  # a close code reaches a browser only after the handshake
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            await self.close(ANONYMOUS)
            return
        self.job_id = self.scope["url_route"]["kwargs"]["job_id"]
        self.cursor = _after(self.scope)
        self.wake, self.lock = asyncio.Event(), asyncio.Lock()
        self.known, self.rung_at = 0, time.monotonic()
        self.sending: set[asyncio.Task[None]] = set()
        try:
            await rooms.enter(group_name(self.job_id), self.rung)
            seen = await seen_since(self.job_id, self.rung_at)
        except BaseException:
            await rooms.leave(group_name(self.job_id), self.rung)
            raise
        if seen is None or seen.owner_id != user.pk:
            await self.close(NOT_YOURS)
            return
        # Many who came at the same moment are not all told at the same moment: a ring would wait for them.
        early = STATUS_SECONDS * random.random()  # noqa: S311
        self.status, self.status_sent = seen.status, time.monotonic() - early
        status = seen.status
        await self._send({"type": "hello", "job": status, "last_seq": status["last_seq"]})
        self.pump = asyncio.create_task(self._pump())

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "pump"):
            self.pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.pump
        for task in tuple(getattr(self, "sending", ())):
            task.cancel()
        if hasattr(self, "job_id"):
            await rooms.leave(group_name(self.job_id), self.rung)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = json.loads(text_data or "")
        except ValueError:
            return
        if isinstance(message, dict) and message.get("type") == "ping":
            await self._send({"type": "pong"})

    def rung(self, message: dict[str, Any]) -> None:
        """A ring: send what it brings, or leave it to the pump to read the rows: at the beginning, and for one who takes them slowly."""
        if hasattr(self, "pump") and len(self.sending) < MOST_SENDING:
            task = asyncio.create_task(self._send_rung(message))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)
        else:
            self._know(message)

    async def _send_rung(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the client has gone; disconnect() comes next
            async with self.lock:
                await self._send_fitting(message)
        self._know(message)

    def _know(self, message: dict[str, Any]) -> None:
        self.known, self.rung_at = max(self.known, message["last_seq"]), time.monotonic()
        self.wake.set()

    # --- The pump --------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Send rows until there are no more, tell the status when it moved, sleep until rung or it is time to look."""
        rung = False
        try:
            while True:
                self.wake.clear()
                if not rung or self.cursor < self.known:  # else the ring brought all there is
                    async with self.lock:
                        while not await self._send_rows():
                            pass
                await self._send_status()
                rung = await self._sleep()
        except OSError as error:  # the client has gone; disconnect() comes next
            logger.debug("A socket of job %s ended while it was written to: %s", self.job_id, error)
        except Exception:
            logger.exception("The socket of job %s is closed; the client comes back and misses nothing.", self.job_id)
            await self.close(1011)

    async def _sleep(self) -> bool:
        """Whether somebody rang; else it is time to look without."""
        finished = self.status["status"] in {str(state) for state in TrainingJob.FINISHED}
        try:
            await asyncio.wait_for(self.wake.wait(), IDLE_LOOK_SECONDS if finished else LOOK_SECONDS)
        except TimeoutError:
            self.rung_at = time.monotonic()
            return False
        return True

    async def _send_rows(self) -> bool:
        """Send the next batch; whether that was all."""
        feed = await self._rows_after(self.cursor)
        await self._send_events(feed.events)
        return feed.whole

    async def _send_fitting(self, message: dict[str, Any]) -> None:
        """What the ring brings, if it follows directly on what was sent last. All watchers get the same object, which keeps its text."""
        events = message["events"] or []
        if events and events[0]["seq"] == self.cursor + 1 and "text" not in message:
            message["text"] = json.dumps({"type": "events", "events": events, "last_seq": events[-1]["seq"]})
        if events and events[0]["seq"] == self.cursor + 1:
            self.cursor = events[-1]["seq"]
            await self.send(text_data=message["text"])
            return
        fresh = [event for event in events if event["seq"] > self.cursor]
        if fresh and fresh[0]["seq"] == self.cursor + 1:
            await self._send_events(fresh)

    async def _send_events(self, events: list[dict[str, Any]]) -> None:
        if events:
            self.cursor = events[-1]["seq"]
            await self._send({"type": "events", "events": events, "last_seq": self.cursor})

    async def _send_status(self) -> None:
        wait = STATUS_SECONDS - (time.monotonic() - self.status_sent)
        if wait > 0:
            await asyncio.sleep(wait)
        seen = await seen_since(self.job_id, self.rung_at)
        if seen is None:  # deleted meanwhile
            await self.close(NOT_YOURS)
            return
        if seen.status != self.status:
            self.status, self.status_sent = seen.status, time.monotonic()
            await self.send(text_data=seen.text)

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))

    # --- Reading ---------------------------------------------------------------------------------

    @database_sync_to_async
    def _rows_after(self, seq: int) -> Feed:
        return events_after(self.job_id, seq, limit=BATCH)


def _after(scope: dict[str, Any]) -> int:
    """The cursor in the query string; 0 for none or nonsense."""
    text = parse_qs(scope.get("query_string", b"").decode(errors="replace")).get("after", ["0"])[0]
    return int(text) if text.isdecimal() and len(text) < 19 else 0
