"""Somebody serves every queue, and beat ticks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.core.cache import cache

from celery_worker import app
from celery_worker.lifecycle import BEAT_SEEN
from finetune.operations.findings import BAD, OK, WARN, Finding

NAME = "workers"
ANSWER_SECONDS = 2.0
BEAT_SECONDS = 60.0  # it sends something every 15 s
QUEUES = {
    "train": (BAD, "no job starts", "celery -A celery_worker worker -Q train --pool threads --concurrency 1"),
    "default": (BAD, "no dataset is read", "celery -A celery_worker worker -Q default,celery"),
    "inference": (WARN, "no model answers", "celery -A celery_worker worker -Q inference --pool threads --concurrency 1"),
}


def examine() -> Iterator[Finding]:
    answering = served()
    for queue, (level, consequence, command) in QUEUES.items():
        workers = answering.get(queue, [])
        if workers:
            yield Finding(NAME, OK, f"Queue {queue}: {', '.join(workers)}.")
        else:
            yield Finding(NAME, level, f"Nobody serves the queue {queue}: {consequence}.", f"Start a worker: {command}")
    yield _beat()


def served() -> dict[str, list[str]]:
    """Queue → the workers that answer within 2 s and read it."""
    answers = app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
    found: dict[str, list[str]] = {}
    for worker, queues in sorted(answers.items()):
        for queue in queues:
            found.setdefault(queue["name"], []).append(worker)
    return found


def _beat() -> Finding:
    seen = cache.get(BEAT_SEEN)
    silent = time.time() - seen if seen else None
    if silent is not None and silent < BEAT_SECONDS:
        return Finding(NAME, OK, f"Beat sent something {silent:.0f} s ago.")
    said = "never sent anything" if silent is None else f"has been silent for {silent / 60:.0f} minutes"
    return Finding(
        NAME, BAD, f"Beat {said}: what a crash leaves is not put right.", "Start exactly one: celery -A celery_worker beat"
    )
