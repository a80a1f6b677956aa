"""The socket: everything after N, in order, nothing missing, nothing twice, whatever the doorbell does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.urls import path

from accounts.models import User
from tests.factories import make_job
from training import event_log
from training.consumers import JobConsumer
from training.event_log import Entry
from training.models import TrainingJob

pytestmark = pytest.mark.django_db(transaction=True)
router = URLRouter([path("ws/training/<int:job_id>", JobConsumer.as_asgi())])


class Watcher(WebsocketCommunicator):
    """A client that keeps what it was sent."""

    def __init__(self, job_id: int, user: Any, after: Any = 0):
        super().__init__(router, f"/ws/training/{job_id}?after={after}")
        self.scope["user"] = user
        self.events: list[dict] = []
        self.statuses: list[dict] = []

    async def until(self, seq: int) -> list[int]:
        """Read until this event has come; the numbers of all that came."""
        while not self.events or self.events[-1]["seq"] < seq:
            await self.take()
        return [event["seq"] for event in self.events]

    async def take(self) -> dict:
        message = await self.receive_json_from(timeout=10)
        if message["type"] == "events":
            assert message["last_seq"] == message["events"][-1]["seq"]
            self.events += message["events"]
        if message["type"] == "status":
            self.statuses.append(message["job"])
        return message


@pytest.fixture
def job(alice: User) -> TrainingJob:
    job = make_job(alice, status="running", attempt=1)
    write(job, 3)
    return job


def write(job: TrainingJob, count: int, *, ring: bool = True) -> None:
    entries = [Entry("metric", {"step": 0, "split": "train", "values": {"loss": 1.0}}) for _ in range(count)]
    rung = event_log.ring
    if not ring:
        event_log.ring = lambda *_: None
    try:
        event_log.append(TrainingJob.objects.filter(pk=job.pk), entries)
    finally:
        event_log.ring = rung


awrite = database_sync_to_async(write)


async def connect(job: TrainingJob, user: Any, after: Any = 0) -> tuple[Watcher, dict]:
    watcher = Watcher(job.pk, user, after)
    connected, _ = await watcher.connect(timeout=10)
    assert connected
    return watcher, await watcher.receive_json_from(timeout=10)


async def test_hello_then_history_then_live(alice: User, job: TrainingJob) -> None:
    watcher, hello = await connect(job, alice)
    assert (hello["type"], hello["last_seq"], hello["job"]["id"], hello["job"]["status"]) == ("hello", 3, job.pk, "running")
    assert await watcher.until(3) == [1, 2, 3]
    for _ in range(5):
        await awrite(job, 2)
    assert await watcher.until(13) == list(range(1, 14))
    assert watcher.events[0]["kind"] == "metric"
    await watcher.disconnect()


async def test_a_client_that_drops_twice_sees_every_point_once(alice: User, job: TrainingJob) -> None:
    seen: list[int] = []
    writer = asyncio.create_task(asyncio.sleep(0))
    for count, goal in ((15, 12), (15, 25), (10, 43)):  # each time there is more to come than the client waits for
        watcher, _ = await connect(job, alice, after=seen[-1] if seen else 0)
        await writer
        writer = asyncio.create_task(_write_slowly(job, count))
        seen += await watcher.until(goal)
        await watcher.disconnect()
    assert seen == list(range(1, 44))


async def _write_slowly(job: TrainingJob, count: int) -> None:
    for _ in range(count):
        await awrite(job, 1)
        await asyncio.sleep(0.01)


async def test_lost_rings_cost_a_moment_and_no_event(alice: User, job: TrainingJob) -> None:
    watcher, _ = await connect(job, alice)
    await watcher.until(3)
    await awrite(job, 4, ring=False)
    assert await watcher.until(7) == list(range(1, 8))
    await awrite(job, 2, ring=False)
    await awrite(job, 1)  # this ring does not follow on what was sent
    assert await watcher.until(10) == list(range(1, 11))
    await watcher.disconnect()


async def test_old_and_doubled_rings_change_nothing(alice: User, job: TrainingJob) -> None:
    watcher, _ = await connect(job, alice)
    await watcher.until(3)
    old = {"type": "job.events", "events": [{"seq": 2, "kind": "log"}, {"seq": 3, "kind": "log"}], "last_seq": 3}
    for _ in range(3):
        await get_channel_layer().group_send(event_log.group_name(job.pk), old)
    await awrite(job, 1)
    assert await watcher.until(4) == [1, 2, 3, 4]
    await watcher.disconnect()


async def test_a_long_history_comes_in_batches(alice: User, job: TrainingJob) -> None:
    await awrite(job, 1200)
    watcher, _ = await connect(job, alice, after=3)
    first = await watcher.take()
    assert (first["type"], len(first["events"])) == ("events", 500)
    assert await watcher.until(1203) == list(range(4, 1204))
    await watcher.disconnect()


async def test_the_status_comes_when_it_moves(alice: User, job: TrainingJob) -> None:
    watcher, _ = await connect(job, alice)
    rows = TrainingJob.objects.filter(pk=job.pk)
    entry = Entry("status", {"status": "succeeded", "reason": "Finished."})
    await database_sync_to_async(event_log.append)(rows, [entry], status="succeeded")
    while not watcher.statuses or watcher.statuses[-1]["status"] != "succeeded":
        await watcher.take()
    assert watcher.events[-1]["reason"] == "Finished."
    await watcher.disconnect()


async def test_status_messages_are_at_most_four_a_second(alice: User, job: TrainingJob) -> None:
    watcher, _ = await connect(job, alice)
    begin = asyncio.get_running_loop().time()
    for _ in range(60):
        await awrite(job, 1)
    await watcher.until(63)
    seconds = asyncio.get_running_loop().time() - begin
    assert len(watcher.statuses) <= seconds * 4 + 1
    await watcher.disconnect()


async def test_ping_is_answered_and_nonsense_ignored(alice: User, job: TrainingJob) -> None:
    watcher, _ = await connect(job, alice)
    await watcher.until(3)
    for nonsense in ("{", "[]", '"x"', '{"type": "dance"}'):
        await watcher.send_to(text_data=nonsense)
    await watcher.send_to(bytes_data=b"\x00")
    await watcher.send_json_to({"type": "ping"})
    message = await watcher.take()
    while message["type"] == "status":
        message = await watcher.take()
    assert message == {"type": "pong"}
    await watcher.disconnect()


@pytest.mark.parametrize("after", ["x", "-5", "9" * 40, ""])
async def test_a_senseless_cursor_means_from_the_beginning(alice: User, job: TrainingJob, after: str) -> None:
    watcher, _ = await connect(job, alice, after)
    assert await watcher.until(3) == [1, 2, 3]
    await watcher.disconnect()


async def test_strangers_and_the_signed_out_are_told_by_a_close_code(alice: User, charlie: User, job: TrainingJob) -> None:
    for user, code in ((AnonymousUser(), 4401), (charlie, 4404)):
        watcher = Watcher(job.pk, user)
        assert (await watcher.connect(timeout=10))[0]
        assert await watcher.receive_output(timeout=10) == {"type": "websocket.close", "code": code}
        await watcher.disconnect()
    missing = Watcher(job.pk + 99, alice)
    await missing.connect(timeout=10)
    assert (await missing.receive_output(timeout=10))["code"] == 4404
    await missing.disconnect()
