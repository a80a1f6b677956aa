"""/v1/chat/completions, whole or as server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from finetune.core import streams
from finetune.core.errors import DomainError, Invalid
from finetune.openai.chat_shapes import ChatSerializer, CompletionSerializer
from finetune.openai.errors import error_body
from finetune.openai.refs import find_weights
from finetune.openai.shapes import errors
from finetune.openai.view import OpenAIView
from models_app.services.try_prompt import afollow, await_start, gather, queue_prompt

THEIR_NAMES = {"max_new_tokens": "max_tokens", "prompt": "messages"}


class ChatCompletionsView(OpenAIView):
    @extend_schema(
        operation_id="openai_create_chat_completion",
        summary="A model's next message",
        request=ChatSerializer,
        responses={
            (200, "application/json"): CompletionSerializer,
            (200, "text/event-stream"): OpenApiTypes.STR,
            **errors(400, 409, 415, 503),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        form = ChatSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        about = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked["model"]}
        request_id = _queued(find_weights(self.user, asked["model"]), form)
        if not asked["stream"]:
            return Response(_completion(about, gather(request_id=request_id)[0]))
        await_start(request_id=request_id)  # so that a missing worker is a 503, not a broken stream
        answer = StreamingHttpResponse(_chunks(request_id, about, form.wants_usage()), content_type="text/event-stream")
        answer["Cache-Control"], answer["X-Accel-Buffering"] = "no-cache", "no"  # a proxy passes each token on at once
        return answer


def _queued(weights: dict[str, Any], form: ChatSerializer) -> str:
    """The request's id; refusals name OpenAI's parameters."""
    try:
        return queue_prompt([weights], form.conversation(), form.params())
    except Invalid as error:
        error.fields = {THEIR_NAMES.get(name, name): words for name, words in error.fields.items()}
        raise


def _completion(about: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": output["text"], "refusal": None}
    if output.get("thinking"):
        message["reasoning_content"] = output["thinking"]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(output)}
    return {**about, "object": "chat.completion", "choices": [choice], "usage": _usage(output)}


def _reason(output: dict[str, Any]) -> str:
    return "length" if output["stop_reason"] == "length" else "stop"


def _usage(output: dict[str, Any]) -> dict[str, int]:
    """Tokens of prompt and answer."""
    prompt, answer = output["prompt_tokens"], output["tokens"]
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


async def _chunks(request_id: str, about: dict[str, Any], wants_usage: bool) -> AsyncIterator[str]:
    """The request's messages as chunks, then `[DONE]`. A client that goes away stops the generation."""
    done = False
    try:
        yield _chunk(about, {"role": "assistant", "content": ""})
        async for message in afollow(request_id=request_id):
            if message["type"] == "token":
                yield _chunk(about, {"reasoning_content" if message.get("thinking") else "content": message["text"]})
            elif message["type"] == "done":
                yield _chunk(about, {}, _reason(message))
                if wants_usage:
                    yield _event({**about, "object": "chat.completion.chunk", "choices": [], "usage": _usage(message)})
            elif message["type"] == streams.ERROR:
                yield _event(error_body(message["message"], kind="server_error", code=message["code"]))
            done = message["type"] in (streams.END, streams.ERROR)
    except DomainError as error:
        yield _event(error_body(error.message, kind="server_error", code=error.code))
        done = True
    finally:
        if not done:
            await sync_to_async(streams.cancel, thread_sensitive=False)(request_id)
    yield "data: [DONE]\n\n"


def _chunk(about: dict[str, Any], delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _event({**about, "object": "chat.completion.chunk", "choices": [choice]})


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
