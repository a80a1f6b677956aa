"""Put right what a crash left: jobs nobody follows, and waiting jobs whose message was lost."""

from __future__ import annotations

import logging

from celery import current_app, shared_task

from training.models import TrainingJob
from training.services.claim_job import orphans
from training.services.start_job import run_job

logger = logging.getLogger(__name__)
QUEUE = "train"


def reconcile_jobs() -> int:
    """Make sure that as many messages wait on the `train` queue as jobs need a worker; returns how many were added.

    A message names no job in particular (see run_job), so counting is enough, and a spare one is harmless.
    """
    needed = [*orphans().values_list("pk", flat=True), *TrainingJob.objects.in_queue().values_list("pk", flat=True)]
    missing = needed[_waiting_messages() :] if needed else []
    for pk in missing:
        run_job.apply_async((pk,))
    if missing:
        logger.info("Woke workers for jobs %s.", missing)
    return len(missing)


@shared_task(name="training.services.reconcile_jobs.reconcile")
def reconcile() -> None:
    """Every few seconds, by beat."""
    reconcile_jobs()


def _waiting_messages() -> int:
    """Messages nobody has fetched yet. A worker that is busy may have fetched one more: then a spare one is sent."""
    # Declared, not looked up passively: kombu's look-up forgets the key prefix and never finds the queue.
    with current_app.connection_for_write() as connection:
        return connection.default_channel.queue_declare(QUEUE, durable=True).message_count
