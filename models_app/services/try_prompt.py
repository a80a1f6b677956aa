"""Ask models to answer a prompt: the worker generates, the answer comes back as messages of a stream.

started   {models, comparison?}                                a worker has begun (loading a model may still take a while)
token     {model_id, text, thinking?}                          `thinking`: true where the model only thinks
done      {model_id, prompt_tokens, tokens, seconds, tokens_per_second, first_token_seconds, load_seconds, stop_reason: stop|length|cancelled}
failed    {model_id, message, code}                            this one can't answer; the others go on
end       {}                                                   the last one
error     {message, code}                                      the last one when something went wrong, or the only model can't answer
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from celery import shared_task

from finetune.core import storage, store, streams
from finetune.core.errors import Conflict, Unavailable, invalid_field
from models_app.answering import BROKEN, answer_request
from models_app.models import LanguageModel

log = logging.getLogger(__name__)

ANSWER_WITHIN_SECONDS = 15.0  # from queueing to `started`, unless the worker is busy with somebody else's prompt
WAIT_FOR_TURN_SECONDS = 300.0
MAX_MODELS = 8
MAX_NEW_TOKENS = 4096
MAX_STOPS, MAX_STOP_LENGTH = 8, 100
WORKER = "inference"  # the worker's heartbeat while it generates
# What an answer that did not come has in place of numbers.
NOTHING: dict[str, Any] = {
    "text": "", "thinking": "", "prompt_tokens": 0, "tokens": 0, "seconds": 0.0, "first_token_seconds": None, "load_seconds": 0.0,
    "tokens_per_second": 0.0, "stop_reason": "failed",
}  # fmt: skip
NO_WORKER = "The inference worker does not answer. Check that a worker for the queue “inference” is running, then try again."
LOST_WORKER = "The inference worker stopped in the middle of the answer. Try again."


@dataclass(frozen=True, kw_only=True)
class Params:
    """How to answer; `temperature` 0 is greedy, `seed` makes a draw repeatable, the answer ends before the first `stop` text."""

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


def try_prompt(
    *, models: list[LanguageModel], messages: list[dict[str, str]], params: Params, checkpoint: int | None = None
) -> str:
    """Queue one prompt for models of one owner, which answer together; the request's id, for `follow` and `afollow`.

    With `checkpoint` (a step) the first model answers as it was at that step of the job that made it. Conflict when a model is not ready or its files are gone; Invalid (naming the field) for an empty prompt or parameters
    out of range; Unavailable when the broker does not answer.
    """
    _check(models, messages, params)
    weights = [{"id": model.pk, **weights_of(model, checkpoint if index == 0 else None)} for index, model in enumerate(models)]
    return queue_prompt(weights, messages, params)


def queue_prompt(
    weights: list[dict[str, Any]],
    messages: list[dict[str, str]],
    params: Params,
    *,
    comparison: int | None = None,
    quiet: bool = False,
) -> str:
    """Queue a prompt for weights that lie in directories, `{id, base, adapter}` each; the request's id. `id` comes back as `model_id`.

    The answers are kept in the row of a `comparison`. `quiet`: no numbers come with them, for these tell who is who.
    """
    check_prompt(messages, params)
    request = {"models": weights, "messages": messages, "sampling": vars(params), "comparison": comparison, "quiet": quiet}
    request_id = uuid.uuid4().hex
    streams.put_request(request_id, request)
    generate.delay_on_commit(request_id)
    return request_id


def weights_of(model: LanguageModel, checkpoint: int | None = None) -> dict[str, str | None]:
    """The directories that make up the model: the full weights and, for an adapter version, the adapter on them. As places
    (storage.place_of), since the worker that reads them may be on another machine; so nothing is brought to this one."""
    if checkpoint is not None:
        if model.job is None:
            raise invalid_field("checkpoint", f"“{model}” was not made by a job here, so it has no checkpoints.")
        return checkpoint_weights(model.job, checkpoint, model.base_model)
    if model.status != LanguageModel.Status.READY:
        raise Conflict(f"“{model}” is not ready ({model.get_status_display().lower()}).", code="model_not_ready")
    base = model.base_model if model.adapter else model
    if base is None or base.adapter or not store.has(base.place, "config.json"):
        raise Conflict(f"The weights of “{base or model}” are not on this machine.", code="model_missing")
    return {"base": storage.place_of(base.place), "adapter": storage.place_of(model.place) if model.adapter else None}


def checkpoint_weights(job: int, step: int, base: LanguageModel | None) -> dict[str, str | None]:
    """The directories of a job's checkpoint: whole weights, or an adapter on its base. Invalid when it is not kept (any more)."""
    directory = storage.checkpoint_dir(job, step)
    if directory is None:
        raise invalid_field("checkpoint", f"There is no checkpoint of step {step} (any more).")
    if not store.has(directory, "adapter_config.json"):
        return {"base": storage.place_of(directory), "adapter": None}
    if base is None:
        raise Conflict("The base model of this checkpoint is gone.", code="model_missing")
    return {**weights_of(base), "adapter": storage.place_of(directory)}


def _check(models: list[LanguageModel], messages: list[dict[str, str]], params: Params) -> None:
    if len(models) > MAX_MODELS:
        raise invalid_field("compare_with", f"Compare at most {MAX_MODELS} models at once.")
    check_prompt(messages, params)


def check_prompt(messages: list[dict[str, str]], params: Params) -> None:
    """Invalid, naming the field, for an empty prompt or parameters out of range."""
    if not any(message["role"] == "user" and message["content"].strip() for message in messages):
        raise invalid_field("prompt", "Write a prompt.")
    if not 1 <= params.max_new_tokens <= MAX_NEW_TOKENS:
        raise invalid_field("max_new_tokens", f"Must be from 1 to {MAX_NEW_TOKENS}.")
    if not 0 <= params.temperature <= 2:
        raise invalid_field("temperature", "Must be from 0 (always the likeliest) to 2.")
    if not 0 < params.top_p <= 1:
        raise invalid_field("top_p", "Must be above 0 and at most 1.")
    if params.seed is not None and not 0 <= params.seed < 2**63:
        raise invalid_field("seed", "Must be a whole number from 0 up.")
    if len(params.stop) > MAX_STOPS or any(not text or len(text) > MAX_STOP_LENGTH for text in params.stop):
        raise invalid_field("stop", f"Give at most {MAX_STOPS} texts of 1 to {MAX_STOP_LENGTH} characters.")


class Patience:
    """How long a reader waits in silence: shortly for an idle worker to begin, longer while it works."""

    def __init__(self, request_id: str):
        self.request_id = request_id
        self.begun = time.monotonic()
        self.started = False

    def check(self) -> None:
        """Unavailable when nobody will answer any more."""
        if self.started:
            if not streams.is_beating(self.request_id):
                raise Unavailable(LOST_WORKER, code="worker_lost")
            return
        waited = time.monotonic() - self.begun
        busy = streams.is_beating(WORKER) and waited < WAIT_FOR_TURN_SECONDS
        if waited > ANSWER_WITHIN_SECONDS and not busy:
            streams.cancel(self.request_id)  # so that a worker that comes up later leaves it
            raise Unavailable(NO_WORKER, code="no_worker", retry_after=15)


def follow(*, request_id: str) -> Iterator[dict[str, Any]]:
    """The request's messages up to `end` or `error`. Unavailable when no worker begins in time, or it dies."""
    patience = Patience(request_id)
    for entry in streams.read(request_id):
        if entry is None:
            patience.check()
        else:
            patience.started = True
            yield entry[1]


def await_start(*, request_id: str) -> None:
    """Return once a worker has begun. Unavailable when none does in time."""
    next(follow(request_id=request_id))


async def afollow(*, request_id: str) -> AsyncIterator[dict[str, Any]]:
    """`follow` for an event loop."""
    patience = Patience(request_id)
    async for entry in streams.aread(request_id):
        if entry is None:
            await sync_to_async(patience.check, thread_sensitive=False)()
        else:
            patience.started = True
            yield entry[1]


def gather(*, request_id: str) -> list[dict[str, Any]]:
    """Wait for the whole answer: `[{model_id, text, thinking, prompt_tokens, tokens, seconds, tokens_per_second, first_token_seconds,
    load_seconds, stop_reason, error}]`, in the order asked. One that can't answer has no text and no numbers, and the reason as `error`.

    Unavailable when no worker begins in time; Conflict with the reason when none can answer.
    """
    texts: dict[Any, dict[bool, str]] = {}
    outputs: dict[Any, dict[str, Any]] = {}
    failed: dict[Any, dict[str, Any]] = {}
    for message in follow(request_id=request_id):
        if message["type"] == "started":
            texts = {name: {False: "", True: ""} for name in message.get("models", ())}
        elif message["type"] == "token":
            texts[message["model_id"]][bool(message.get("thinking"))] += message["text"]
        elif message["type"] == "done":
            outputs[message["model_id"]] = {key: value for key, value in message.items() if key not in ("type", "model_id")}
        elif message["type"] == "failed":
            failed[message["model_id"]] = message
        elif message["type"] == streams.ERROR:
            raise Conflict(message["message"], code=message["code"])
    if failed and not outputs:
        first = next(failed[name] for name in texts if name in failed)
        raise Conflict(first["message"], code=first["code"])
    found = {name: {"text": texts[name][False], "thinking": texts[name][True].rstrip(), **facts} for name, facts in outputs.items()}
    found |= {name: {**NOTHING, "error": message["message"]} for name, message in failed.items()}
    return [{"model_id": name, "error": "", **found[name]} for name in texts if name in found]


# --- the background half: runs in the inference worker ------------------------------------------------------


@shared_task
def generate(request_id: str) -> None:
    """Answer one request and publish as it goes. A second delivery finds no request and does nothing."""
    request = streams.take_request(request_id)
    if request is None or streams.is_cancelled(request_id):
        return
    with streams.beating(request_id, WORKER):
        models = [model["id"] for model in request["models"]]
        comparison = {"comparison": request["comparison"]} if request.get("comparison") else {}
        streams.publish(request_id, {"type": "started", "models": models, **comparison})
        try:
            answer_request(request_id, request)
        except Exception:
            log.exception("Answering a prompt failed.")
            streams.publish(request_id, {"type": streams.ERROR, "message": BROKEN, "code": "internal"})
