"""All watchers of one job in this process share one channel: a ring is taken from Redis once, and every watcher is told directly.

With a channel for each, every ring wakes the channel layer's waiting once for each watcher, one after the other: at five hundred of
them that, and not what they are sent, was most of the work (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)
Told = Callable[[dict[str, Any]], None]
AGAIN_SECONDS = 1.0  # until a broker that went away is asked again; watchers look by themselves meanwhile
# A channel's place in its group lapses after a day (channels_redis' group_expiry).
RENEW_SECONDS = 12 * 3600.0

_rooms: WeakKeyDictionary[Any, dict[str, Room]] = WeakKeyDictionary()


async def enter(group: str, told: Told) -> None:
    """Have `told` called with every message to this group from now on. It must not wait."""
    rooms = _rooms.setdefault(asyncio.get_running_loop(), {})
    room = rooms.get(group)
    if room is None:
        room = rooms[group] = Room(group)
    room.watchers[told] = None
    await room.open.wait()


async def leave(group: str, told: Told) -> None:
    """The end of `enter`; the last one closes the room."""
    rooms = _rooms.get(asyncio.get_running_loop(), {})
    room = rooms.get(group)
    if room is None:
        return
    room.watchers.pop(told, None)
    if not room.watchers:
        del rooms[group]
        await room.close()


class Room:
    """Those in this process who listen to one group, in the order in which they came."""

    def __init__(self, group: str):
        self.group = group
        self.watchers: dict[Told, None] = {}
        self.open = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def close(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def _listen(self) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        try:
            while True:
                try:
                    await layer.group_add(self.group, channel)
                    self.open.set()
                    async with asyncio.timeout(RENEW_SECONDS):
                        while True:
                            self._tell(await layer.receive(channel))
                except TimeoutError:
                    continue
                except Exception as error:  # noqa: BLE001  (the driver's errors, whichever; without rings all goes on)
                    logger.warning("No rings for %s (%s); its watchers look by themselves.", self.group, error)
                    self.open.set()
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            with contextlib.suppress(Exception):
                await layer.group_discard(self.group, channel)

    def _tell(self, message: dict[str, Any]) -> None:
        for told in tuple(self.watchers):
            told(message)
