"""Put right what a crash left: jobs nobody follows, and waiting jobs whose message was lost."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app, shared_task

from training import executors, queue
from training.executors import EXECUTORS
from training.services.claim_job import orphans
from training.services.start_job import run_job, run_remote_job

logger = logging.getLogger(__name__)
QUEUE = "train"
# More slots than this are not woken at once; each that took a job wakes the next.
MOST_MESSAGES = 64


def reconcile_jobs() -> int:
    """Make sure that as many messages wait on the `train` and `cloud` queues as jobs could be taken from them; returns how many were added.

    A message names no job in particular (see run_job), so counting is enough, and a spare one is harmless. Jobs that a pause or their
    owner's limit holds back need none.
    """
    remote = executors.remote_names()
    orphaned = list(orphans().values_list("pk", "executor"))
    here = [pk for pk, executor in orphaned if executor not in remote] + _takeable(
        [name for name in EXECUTORS if name not in remote]
    )
    away = [pk for pk, executor in orphaned if executor in remote] + _takeable(remote)
    return _wake(QUEUE, run_job, here[:MOST_MESSAGES]) + _wake("cloud", run_remote_job, away[:MOST_MESSAGES])


def _wake(queue_name: str, task: Any, needed: list[int]) -> int:
    missing = needed[_waiting_messages(queue_name) :] if needed else []
    for pk in missing:
        task.apply_async((pk,))
    if missing:
        logger.info("Woke workers for jobs %s.", missing)
    return len(missing)


def wake_waiting() -> None:
    """The same when something has become free; a broker that is down is no error, beat does it again."""
    try:
        reconcile_jobs()
    except Exception as error:  # noqa: BLE001  (kombu raises its transport's errors)
        logger.warning("Waiting jobs could not be woken: %s", error)


def _takeable(names: list[str]) -> list[int]:
    places = [place for name in names if not queue.pause_of(name) for place in queue.queue(name)]
    return [place.job.pk for place in places if not place.held]


@shared_task(name="training.services.reconcile_jobs.reconcile")
def reconcile() -> None:
    """Every few seconds, by beat."""
    reconcile_jobs()


def _waiting_messages(queue_name: str = QUEUE) -> int:
    """Messages nobody has fetched yet. A worker that is busy may have fetched one more: then a spare one is sent."""
    # Declared, not looked up passively: kombu's look-up forgets the key prefix and never finds the queue.
    with current_app.connection_for_write() as connection:
        return connection.default_channel.queue_declare(queue_name, durable=True).message_count
