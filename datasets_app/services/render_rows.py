"""Show rows as a model will see them, the part it learns marked. A worker renders; the answer is kept for a while."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from typing import Any

from celery import shared_task
from django.core.cache import cache

from datasets_app import tokens
from datasets_app.models import Dataset
from finetune.core import storage, streams
from finetune.core.errors import Conflict, Unavailable, invalid_field

logger = logging.getLogger(__name__)
WAIT_SECONDS = 12.0  # the first time a worker loads its libraries
KEEP_SECONDS = 3600
PATIENCE = 60  # seconds in which the same rows are not asked for again
MOST_CHARACTERS = 40_000  # of one row
NO_WORKER = "No worker rendered the rows in time. It may be busy answering a prompt, or not running. Try again in a moment."
Rendered = list[list[dict[str, Any]]]


def render_rows(
    *, dataset: Dataset, rows: list[dict[str, Any]], model_id: int, max_length: int | None = None, wait: float = WAIT_SECONDS
) -> Rendered:
    """For each row its segments [{text, trained, cut}]; `cut` lies beyond `max_length`.

    Invalid when the model is not the owner's or has no tokenizer here; Unavailable when no worker answers within `wait`
    seconds (what it makes later is kept for who asks again); Conflict with the reason when the tokenizer can't be loaded.
    """
    if max_length is not None and max_length < 8:
        raise invalid_field("max_length", "Must be 8 or more.")
    directory = tokens.tokenizer_directory(dataset.owner, model_id)
    if not rows:
        return []
    request = {"directory": storage.place_of(directory), "kind": dataset.kind, "rows": rows, "max_length": max_length}
    key = _key(request, tokens.fingerprint(directory))
    found = cache.get(key)
    if found is None and cache.get(_waiting(key)):  # asked before, by somebody who did not wait so long
        return _awaited(key, wait)
    return found if found is not None else _asked(request | {"key": key}, wait)


def _waiting(key: str) -> str:
    return f"{key}:waiting"


def _awaited(key: str, wait: float) -> Rendered:
    """What a request before this one brings, if it does in time."""
    until = time.monotonic() + wait
    while (found := cache.get(key)) is None and time.monotonic() < until and cache.get(_waiting(key)):
        time.sleep(streams.POLL_SECONDS)
    if found is None:
        raise Unavailable(NO_WORKER, code="no_worker", retry_after=5)
    return found


def _key(request: dict[str, Any], fingerprint: str) -> str:
    return "rendered:" + hashlib.sha256(json.dumps([request, fingerprint], sort_keys=True).encode()).hexdigest()


def _asked(request: dict[str, Any], wait: float) -> Rendered:
    request_id = uuid.uuid4().hex
    streams.put_request(request_id, request)
    render.delay_on_commit(request_id)
    seconds = 0.0
    for entry in streams.read(request_id):
        if entry is not None:
            message = entry[1]
            if message["type"] == streams.ERROR:
                raise Conflict(message["message"], code="cannot_render")
            return message["rendered"]
        seconds += streams.POLL_SECONDS
        if seconds >= wait:
            break
    cache.set(_waiting(request["key"]), True, PATIENCE)  # a cold worker finishes what it began; who asks again finds it
    raise Unavailable(NO_WORKER, code="no_worker", retry_after=5)


# --- the background half: runs in the inference worker, which is warm with the same libraries ---------------------------------


@shared_task
def render(request_id: str) -> None:
    """Render one request. A second delivery finds no request and does nothing."""
    request = streams.take_request(request_id)
    if request is None or streams.is_cancelled(request_id):
        return
    try:
        rendered = _rendered(request)
    except Exception:
        logger.exception("Rows could not be rendered.")
        words = "The rows could not be rendered with this tokenizer; the reason is in the worker's log."
        streams.publish(request_id, {"type": streams.ERROR, "message": words})
        cache.delete(_waiting(request["key"]))
        return
    cache.set(request["key"], rendered, KEEP_SECONDS)
    streams.publish(request_id, {"type": streams.END, "rendered": rendered})


def _rendered(request: dict[str, Any]) -> Rendered:
    reader = tokens.load(storage.path_of(request["directory"]))
    return [_shortened(reader.segments(row, request["kind"], request["max_length"])) for row in request["rows"]]


def _shortened(segments: list[Any]) -> list[dict[str, Any]]:
    """A row of a book's length is shown in part."""
    found, room = [], MOST_CHARACTERS
    for segment in segments:
        if room <= 0:
            break
        text = segment.text if len(segment.text) <= room else segment.text[:room] + "…"
        room -= len(segment.text)
        found.append({"text": text, "trained": segment.trained, "cut": segment.cut})
    return found
