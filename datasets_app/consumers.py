"""A dataset's socket: its object now and at every change, progress in between."""

from __future__ import annotations

import json
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from datasets_app.announce import group
from datasets_app.models import Dataset
from datasets_app.serializers import DatasetSerializer

NOT_SIGNED_IN, NOT_FOUND = 4401, 4404


class DatasetSocket(AsyncJsonWebsocketConsumer):
    """/ws/datasets/{id}: `{"type": "dataset", "dataset": …}` now and at every change of status, `{"type": "progress", …}` in between.

    It accepts first, so that a refusal's close code reaches the browser.
    """

    async def connect(self) -> None:
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(NOT_SIGNED_IN)
            return
        await self.channel_layer.group_add(group(self.pk), self.channel_name)
        await self.dataset_changed({})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(group(self.pk), self.channel_name)

    @property
    def pk(self) -> int:
        return self.scope["url_route"]["kwargs"]["pk"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Answers a ping; anything else is ignored."""
        try:
            content = json.loads(text_data or "")
        except (ValueError, RecursionError):
            return
        if isinstance(content, dict) and content.get("type") == "ping":
            await self.send_json({"type": "pong"})

    async def dataset_changed(self, event: dict[str, Any]) -> None:
        found = await self.find()
        if found is None:
            await self.close(NOT_FOUND)
        else:
            await self.send_json({"type": "dataset", "dataset": found})

    async def dataset_progress(self, event: dict[str, Any]) -> None:
        await self.send_json({"type": "progress", **event["progress"]})

    @database_sync_to_async
    def find(self) -> dict[str, Any] | None:
        dataset = Dataset.objects.for_user(self.scope["user"]).filter(pk=self.pk).first()
        return DatasetSerializer(dataset).data if dataset else None
