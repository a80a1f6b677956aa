"""A job's watchers in one process share one channel; a broker that fails keeps nobody out and is asked again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer

from training import rooms


class Layer:
    """The real channel layer, which counts and can be told to fail."""

    def __init__(self) -> None:
        self.real = get_channel_layer()
        self.channels = self.left = self.failures = 0

    async def new_channel(self) -> str:
        self.channels += 1
        return await self.real.new_channel()

    async def group_add(self, group: str, channel: str) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("The broker went away.")
        await self.real.group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.left += 1
        await self.real.group_discard(group, channel)

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.real.receive(channel)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    made = Layer()
    monkeypatch.setattr(rooms, "get_channel_layer", lambda: made)
    monkeypatch.setattr(rooms, "AGAIN_SECONDS", 0.01)
    return made


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_all_are_told_over_one_channel_until_the_last_has_left(layer: Layer) -> None:
    group, one, other = f"room-{uuid.uuid4().hex}", [], []
    await rooms.enter(group, one.append)
    await rooms.enter(group, other.append)
    await layer.real.group_send(group, {"type": "ring", "number": 1})
    await until(lambda: one and other)
    await rooms.leave(group, one.append)
    assert layer.left == 0
    await layer.real.group_send(group, {"type": "ring", "number": 2})
    await until(lambda: len(other) == 2)
    assert ([message["number"] for message in one], [message["number"] for message in other]) == ([1], [1, 2])
    await rooms.leave(group, other.append)
    await rooms.leave(group, other.append)
    assert (layer.channels, layer.left) == (1, 1)


async def test_a_broker_that_fails_lets_watchers_in_and_is_asked_again(layer: Layer) -> None:
    group, heard = f"room-{uuid.uuid4().hex}", []
    layer.failures = 3
    await rooms.enter(group, heard.append)
    await until(lambda: not layer.failures)
    async with asyncio.timeout(10):
        while not heard:  # the channel may still be on its way into the group
            await layer.real.group_send(group, {"type": "ring"})
            await asyncio.sleep(0.05)
    await rooms.leave(group, heard.append)
