"""The queue in a few words, for the home page: how busy the machines are, who waits, and when one's own next job begins."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from training.models import QueuePause
from training.services.read_queue import Line, read_queue


@dataclass(frozen=True)
class QueueCard:
    """`slots` is how many jobs of one device can run at once and `busy` how many devices are taken; the rest counts jobs.

    `mine` is this person's first waiting job, with its place and its expected start.
    """

    slots: int
    busy: int
    waiting: int
    own: int
    mine: Line | None
    pause: QueuePause | None


def queue_card(user: User) -> QueueCard:
    """The queue of this installation's own workers."""
    queue = read_queue(user=user)
    own = [line for line in queue.waiting if line.job and line.job.owner_id == user.pk]
    return QueueCard(
        slots=queue.slots,
        busy=sum(line.devices for line in queue.running),
        waiting=queue.waiting_total,
        own=len(own),
        mine=own[0] if own else None,
        pause=queue.pause,
    )
