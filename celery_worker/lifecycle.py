"""What a worker does when it starts and stops.

A worker of the `inference` queue looks after its warm models. One of the `train` queue keeps a fork server warm, reports its machine's devices, and looks for jobs that its predecessor left running. When it is
told to stop, `stopping` is set: supervisors let go of their jobs within a second, and the engines run on.
"""

from __future__ import annotations

import logging
import logging.config
import os
import threading
import time
from contextlib import suppress
from typing import Any

from billiard.process import current_process
from celery.signals import (
    after_task_publish,
    beat_init,
    setup_logging,
    worker_process_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

logger = logging.getLogger(__name__)
stopping = threading.Event()
_told = False

BEHIND_PAGES = 5  # how much nicer the processes of a worker's pool are than the web process
MAIN = "MainProcess"  # what billiard calls a worker beside the processes of its pool
BEAT_SEEN = "beat-seen"  # cache key: when beat last sent a task, in seconds since 1970


@setup_logging.connect
def on_setup_logging(loglevel: int | str | None = None, **kwargs: Any) -> None:
    """Workers and beat log as the web process does: settings.LOGGING, with its filter for secrets."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    if loglevel:
        logging.getLogger().setLevel(loglevel)


@beat_init.connect
def on_beat(**kwargs: Any) -> None:
    after_task_publish.connect(_beat_lives, weak=False)


def _beat_lives(**kwargs: Any) -> None:
    """Leave a trace for `manage.py doctor`; a broker that is down is said there."""
    from django.core.cache import cache

    with suppress(Exception):
        cache.set(BEAT_SEEN, time.time(), None)


@worker_process_init.connect
def on_pool_process(**kwargs: Any) -> None:
    """Reading and checking files can wait a moment; the web process, for which a person waits, can't. A pool without processes of
    its own says this too, in the worker itself."""
    if current_process().name != MAIN:
        os.nice(BEHIND_PAGES)


@worker_ready.connect
def on_ready(sender: Any, **kwargs: Any) -> None:
    """Django is loaded and the broker answers."""
    from finetune.core import store_care

    store_care.keep_tidy()
    queues = sender.app.amqp.queues.consume_from
    if "inference" in queues:
        from models_app import warm_models

        warm_models.tidy_until(stopping)
    if "train" in queues:
        _ready_to_train(sender.hostname)


def _ready_to_train(worker: str) -> None:
    from training import device_reports
    from training.executors import fork_server
    from training.services.reconcile_jobs import reconcile_jobs
    from training.superseded import stop_superseded

    device_reports.report_until(stopping, worker=worker)
    fork_server.start()
    try:
        stop_superseded()
        reconcile_jobs()
    except Exception:  # a worker must not die of it; beat looks for such jobs again in a moment
        logger.exception("Could not look for jobs left running.")


@worker_shutting_down.connect
def on_shutting_down(**kwargs: Any) -> None:
    """Runs in the handler of SIGTERM, and a second one may interrupt the first: in the middle of `set` it would wait for itself."""
    global _told
    if not _told:
        _told = True
        stopping.set()


@worker_shutdown.connect
def on_shutdown(**kwargs: Any) -> None:
    from training.executors import fork_server

    fork_server.stop()
