"""What a worker does when it starts and stops.

A worker of the `train` queue keeps a fork server warm, reports its machine's devices, and looks for jobs that its predecessor left running. When it is
told to stop, `stopping` is set: supervisors let go of their jobs within a second, and the engines run on.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

logger = logging.getLogger(__name__)
stopping = threading.Event()


@worker_ready.connect
def on_ready(sender: Any, **kwargs: Any) -> None:
    """Django is loaded and the broker answers."""
    if "train" not in sender.app.amqp.queues.consume_from:
        return
    from training import device_reports
    from training.executors import fork_server
    from training.services.reconcile_jobs import reconcile_jobs

    device_reports.report_until(stopping)
    fork_server.start()
    try:
        reconcile_jobs()
    except Exception:  # beat does the same in a moment; a worker must not die of it
        logger.exception("Could not look for jobs left running.")


@worker_shutting_down.connect
def on_shutting_down(**kwargs: Any) -> None:
    stopping.set()


@worker_shutdown.connect
def on_shutdown(**kwargs: Any) -> None:
    from training.executors import fork_server

    fork_server.stop()
