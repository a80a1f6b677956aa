"""Ring the doorbell of a model's sockets: whoever watches reads the row again."""

from __future__ import annotations

from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from models_app.models import LanguageModel


def group(pk: int) -> str:
    """The channel group of one model."""
    return f"model.{pk}"


def announce(model: LanguageModel, *, progress: dict[str, Any] | None = None) -> None:
    """After the commit, tell watchers that the row changed, or only how far its work is."""
    message = {"type": "model.progress", "progress": progress} if progress else {"type": "model.changed"}
    transaction.on_commit(partial(async_to_sync(get_channel_layer().group_send), group(model.pk), message), robust=True)
