"""A model's sockets: its state as it changes, and a prompt answered token by token."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from rest_framework.exceptions import APIException

from finetune.core import streams
from finetune.core.drf import exception_handler
from finetune.core.errors import DomainError
from models_app.announce import group
from models_app.comparison_serializers import CompareSerializer
from models_app.models import LanguageModel
from models_app.serializers import ModelSerializer
from models_app.services.compare_sources import compare_sources
from models_app.services.try_prompt import afollow
from models_app.try_request import ask, ask_source

NOT_SIGNED_IN, NOT_FOUND = 4401, 4404


class PersonalSocket(AsyncJsonWebsocketConsumer):
    """Accepts first, so that a refusal's close code reaches the browser."""

    async def connect(self) -> None:
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(NOT_SIGNED_IN)
        elif not await self.is_theirs():
            await self.close(NOT_FOUND)
        else:
            await self.opened()

    async def is_theirs(self) -> bool:
        """Whether what the address names belongs to this person."""
        return True

    async def opened(self) -> None:
        """They may listen and speak."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        try:
            content = json.loads(text_data or "")
        except ValueError:
            return
        if isinstance(content, dict) and content.get("type") == "ping":
            await self.send_json({"type": "pong"})
        elif isinstance(content, dict):
            await self.receive_json(content)

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        """Unknown messages are ignored."""


class OwnedModelSocket(PersonalSocket):
    """A socket of one model."""

    async def is_theirs(self) -> bool:
        return await self.find() is not None

    @database_sync_to_async
    def find(self) -> LanguageModel | None:
        rows = LanguageModel.objects.for_user(self.scope["user"]).select_related("base_model", "produced_by")
        return rows.filter(pk=self.scope["url_route"]["kwargs"]["pk"]).first()


class ModelSocket(OwnedModelSocket):
    """/ws/models/{id}: `{"type": "model", "model": …}` now and at every change, `{"type": "progress", …}` in between."""

    async def opened(self) -> None:
        await self.channel_layer.group_add(group(self.scope["url_route"]["kwargs"]["pk"]), self.channel_name)
        await self.model_changed({})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(group(self.scope["url_route"]["kwargs"]["pk"]), self.channel_name)

    async def model_changed(self, event: dict[str, Any]) -> None:
        model = await self.find()
        if model is None:
            await self.close(NOT_FOUND)
        else:
            await self.send_json({"type": "model", "model": ModelSerializer(model).data})

    async def model_progress(self, event: dict[str, Any]) -> None:
        await self.send_json({"type": "progress", **event["progress"]})


class AnsweringSocket(PersonalSocket):
    """The client sends a prompt, the server streams the answers. One prompt at a time; `{"type": "stop"}` ends it early, and so
    does closing the socket."""

    request_id: str | None = None
    answering: asyncio.Task | None = None

    def ask(self, body: dict[str, Any]) -> str:
        """Queue the prompt; the request's id."""
        raise NotImplementedError

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        if content.get("type") == "stop":
            await self.stop()
        elif self.answering and not self.answering.done():
            await self.send_json({"type": "error", "message": "One prompt at a time: stop the answer first.", "code": "busy"})
        else:
            self.answering = asyncio.create_task(self.answer(content))

    async def disconnect(self, code: int) -> None:
        await self.stop()
        if self.answering:
            self.answering.cancel()

    async def stop(self) -> None:
        if self.request_id:
            await sync_to_async(streams.cancel, thread_sensitive=False)(self.request_id)

    async def answer(self, body: dict[str, Any]) -> None:
        try:
            self.request_id = await database_sync_to_async(self.ask)(body)
            async for message in afollow(request_id=self.request_id):
                await self.say(message)
        except (DomainError, APIException) as error:
            refusal = exception_handler(error, {})
            data = refusal.data if refusal is not None else {"detail": "Something broke.", "code": "internal"}
            await self.say({"type": streams.ERROR, "message": data["detail"], **data})
        except RuntimeError:  # sent into a connection that the server has just seen close
            await self.stop()

    async def say(self, message: dict[str, Any]) -> None:
        """Send; whoever has read the last message may ask again at once."""
        if message["type"] in (streams.END, streams.ERROR):
            self.request_id = self.answering = None
        await self.send_json(message)


class TrySocket(AnsweringSocket, OwnedModelSocket):
    """/ws/models/{id}/test: the body of POST …/test, and the answer as it comes."""

    def ask(self, body: dict[str, Any]) -> str:
        rows = LanguageModel.objects.for_user(self.scope["user"]).select_related("base_model")
        model = rows.filter(pk=self.scope["url_route"]["kwargs"]["pk"]).first()
        if model is None:
            raise DomainError("This model was deleted.", code="not_found")
        return ask(user=self.scope["user"], model=model, body=body)


class AskSocket(AnsweringSocket):
    """/ws/ask: the same for whatever `source` names, a model or a checkpoint."""

    def ask(self, body: dict[str, Any]) -> str:
        return ask_source(user=self.scope["user"], body=body)


class CompareSocket(AnsweringSocket):
    """/ws/compare: the body of POST /api/models/comparisons; `started` has the comparison's id, `model_id` is a side."""

    def ask(self, body: dict[str, Any]) -> str:
        form = CompareSerializer(data=body)
        form.is_valid(raise_exception=True)
        return compare_sources(owner=self.scope["user"], **form.values())[1]
