"""Ring the doorbell of a dataset's sockets. The row is the truth: a bell that can't ring harms nothing."""

from __future__ import annotations

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def group(pk: int) -> str:
    """The channel group of one dataset."""
    return f"dataset.{pk}"


def announce(pk: int, *, progress: dict[str, Any] | None = None) -> None:
    """Tell watchers that the committed row changed, or only how far its work is."""
    message = {"type": "dataset.progress", "progress": progress} if progress else {"type": "dataset.changed"}
    try:
        async_to_sync(get_channel_layer().group_send)(group(pk), message)
    except (OSError, RedisError):
        logger.warning("Dataset %s: the sockets could not be told.", pk)
