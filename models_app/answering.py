"""The background half of a prompt, in the inference worker: every model answers in a thread of its own and publishes as it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from django.db import connection

from finetune.core import storage, streams
from models_app.models import Comparison
from models_app.warm_models import pool

if TYPE_CHECKING:
    from models_app.inference.types import Answer, Weights

log = logging.getLogger(__name__)
BROKEN = "Something broke while answering; it is in the worker's log."
BLIND = "It could not answer. Why is told together with the names."


def answer_request(request_id: str, request: dict[str, Any]) -> None:
    """All models at the same time, a token of each in turn. One that can't answer says why and leaves the others alone."""
    models, stopped = request["models"], _cancel_check(request_id)
    outputs: dict[Any, dict[str, Any]] = {}

    def one(model: dict[str, Any]) -> None:
        try:
            outputs[model["id"]] = _answer(request_id, model, request, stopped)
        except Exception as error:
            log.warning("A model could not answer.", exc_info=True)
            outputs[model["id"]] = _failed(request_id, model["id"], error, request)
        finally:
            connection.close()  # a thread's own ends with it

    with ThreadPoolExecutor(len(models), "answer") as threads:
        for each in [threads.submit(one, model) for model in models]:
            each.result()
    if request.get("comparison"):
        _keep(request["comparison"], {model["id"]: outputs[model["id"]] for model in models})
    if len(models) == 1 and "error" in outputs[models[0]["id"]]:
        only = outputs[models[0]["id"]]
        streams.publish(request_id, {"type": streams.ERROR, "message": only["error"], "code": only["code"]})
    else:
        streams.publish(request_id, {"type": streams.END})


def weights_at(places: dict[str, Any]) -> Weights:
    """The directories that try_prompt.weights_of names, on this machine."""
    from models_app.inference.types import Weights

    adapter = places["adapter"] and str(storage.path_of(places["adapter"]))
    return Weights(base=str(storage.path_of(places["base"])), adapter=adapter)


def _answer(request_id: str, model: dict[str, Any], request: dict[str, Any], stopped: Callable[[], bool]) -> dict[str, Any]:
    from models_app.inference.generate import generate
    from models_app.inference.types import Sampling

    def say(text: str, **more: Any) -> None:
        streams.publish(request_id, {"type": "token", "model_id": model["id"], "text": text, **more})

    weights = weights_at(model)
    answer = generate(
        pool(), weights, request["messages"], Sampling(**request["sampling"]),
        on_text=say, on_thought=lambda text: say(text, thinking=True), should_stop=stopped,
    )  # fmt: skip
    facts = facts_of(answer)
    told = {"stop_reason": answer.stop_reason} if request.get("quiet") else facts
    streams.publish(request_id, {"type": "done", "model_id": model["id"], **told})
    return {"text": answer.text, "thinking": answer.thinking, **facts}


def _failed(request_id: str, model_id: Any, error: Exception, request: dict[str, Any]) -> dict[str, Any]:
    """Say so. A reason may tell who it is, so a blind comparison keeps it for later."""
    from models_app.inference.types import CannotGenerate

    known = isinstance(error, CannotGenerate)
    words, code = (str(error), "cannot_generate") if known else (BROKEN, "internal")
    if len(request["models"]) > 1:
        told = BLIND if request.get("quiet") else words
        streams.publish(request_id, {"type": "failed", "model_id": model_id, "message": told, "code": code})
    return {"text": "", "thinking": "", "stop_reason": "failed", "error": words, "code": code}


def _keep(pk: int, outputs: dict[str, dict[str, Any]]) -> None:
    """The answers in the comparison's row, and at each side whether it gave one."""
    comparison = Comparison.objects.filter(pk=pk).first()
    if comparison is None:  # its owner is gone
        return
    comparison.outputs = outputs
    comparison.sides = [side | ({"failed": True} if "error" in outputs[side["side"]] else {}) for side in comparison.sides]
    comparison.save(update_fields=["outputs", "sides"])


def facts_of(answer: Answer) -> dict[str, Any]:
    """The numbers of an answer, as messages and stored outputs have them."""
    names = ("prompt_tokens", "tokens", "seconds", "tokens_per_second", "first_token_seconds", "load_seconds", "stop_reason")
    return {name: getattr(answer, name) for name in names}


def _cancel_check(request_id: str, every: float = 0.1) -> Callable[[], bool]:
    """Whether the reader is gone, asked of Redis at most ten times a second."""
    state = {"asked": 0.0, "answer": False}

    def stopped() -> bool:
        if not state["answer"] and time.monotonic() - state["asked"] > every:
            state["asked"], state["answer"] = time.monotonic(), streams.is_cancelled(request_id)
        return bool(state["answer"])

    return stopped
